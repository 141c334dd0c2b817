"""Pretrained networks, loaded, taken apart at a cut point, and put together again."""
