"""Which of a tokenizer's language codes belong to the two sides of a translation, by the names of the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headstart.data.languages import ISO_639_3
from headstart.errors import ModelError
from headstart.types import ModelSource

_CODE = re.compile(r"[a-z]{2,3}_[A-Za-z]{2,4}")  # "de_DE", "deu_Latn"
_TAG = re.compile(r">>([A-Za-z_]+)<<")  # Marian's ">>deu<<", of models for several target languages
_ISO_639_1 = {three: two for two, three in ISO_639_3.items()}


def language_codes(tokenizer: Any, columns: Mapping[str, str], source: ModelSource) -> dict[str, str]:
    """src_lang and tgt_lang for a tokenizer that marks texts with their language; nothing for others.

    columns: whose names tell ("en", "translation.de", "deu_Latn"). Raises ModelError where they do not.
    """
    if not hasattr(tokenizer, "src_lang"):
        return {}
    listed = getattr(tokenizer, "lang_code_to_token", None)  # M2M100 calls the token otherwise than the language
    known = sorted(listed or (token for token in tokenizer.get_vocab() if _CODE.fullmatch(token)))
    names = [columns.get(role, "").rpartition(".")[2] for role in ("input", "target")]
    found = [_code(name, known) for name in names]
    if not all(found):
        wrong = names[found.index("")]
        raise ModelError(
            f"{source.id} marks texts with their language, and the column {wrong!r} does not name one that it knows. "
            f"Name the columns by their languages, such as en and de, or as the model does ({', '.join(known[:3])}, …)."
        )
    return dict(zip(("src_lang", "tgt_lang"), found))


def target_tag(tokenizer: Any, columns: Mapping[str, str], source: ModelSource, prompt: str) -> str:
    """What stands before every source, for a tokenizer that is told the target's language there: ">>deu<< ".

    prompt: of the checkpoint; one that holds such a tag is kept, and the answer is "". Raises ModelError where the
    target's column names no language that the model knows.
    """
    known = sorted({found[1] for token in tokenizer.get_vocab() if (found := _TAG.fullmatch(token))})
    if not known or _TAG.search(prompt):
        return ""
    name = columns.get("target", "").rpartition(".")[2]
    code = _code(name, known)
    if not code:
        raise ModelError(
            f"{source.id} translates into several languages, and the column {name!r} does not name one of them. Call "
            f"it by the target's language: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}."
        )
    return f">>{code}<< "


def _code(name: str, known: list[str]) -> str:
    """The code that is this name in two or three letters, or begins with it; "" where none does."""
    lowered = name.lower().replace("-", "_")
    names = {lowered, ISO_639_3.get(lowered, lowered), _ISO_639_1.get(lowered, lowered)}
    begins = tuple(f"{n}_" for n in names)
    exact = [code for code in known if code.lower() == lowered] or [code for code in known if code.lower() in names]
    return next(iter(exact or [code for code in known if code.lower().startswith(begins)]), "")


def mark_target(model: Any, tokenizer: Any) -> None:
    """Let the model begin its answers as the tokenizer begins targets: with the language forced, or as the start."""
    own = getattr(tokenizer, "get_lang_id", None)
    code = own(tokenizer.tgt_lang) if own else tokenizer.convert_tokens_to_ids(tokenizer.tgt_lang)
    settings = model.generation_config
    if tokenizer(text_target="a")["input_ids"][0] == code:
        settings.forced_bos_token_id = code
    else:  # behind the end token, whence the decoder takes it as its start
        settings.forced_bos_token_id = None
        settings.decoder_start_token_id = model.config.decoder_start_token_id = code
