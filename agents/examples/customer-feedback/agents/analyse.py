"""The words of a message, and the mood of who wrote it: below 0 for a bad one."""

import re

from task import answer, refuse, task

GOOD = {"great", "love", "thank", "thanks", "happy", "perfect"}
BAD = {"angry", "annoying", "cancel", "crashes", "error", "late", "terrible", "twice"}

message = task()
words = re.findall(r"[a-z]+", message["text"].lower())
if not words:
    refuse(f"{message['id']} says nothing")
answer({"words": words, "mood": sum(word in GOOD for word in words) - sum(word in BAD for word in words)})
