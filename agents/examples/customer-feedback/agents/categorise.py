"""What a message is about, by its words: the category with the most of them."""

from task import answer, task

CATEGORIES = {
    "billing": {"charged", "invoice", "payment", "refund"},
    "bug": {"broken", "crash", "crashes", "error", "fix"},
    "delivery": {"delivery", "late", "parcel"},
    "wish": {"could", "if", "would"},
}

given = task()
counts = {name: sum(word in known for word in given["words"]) for name, known in CATEGORIES.items()}
category = max(counts, key=lambda name: counts[name])
if not counts[category]:
    category = "praise" if given["mood"] > 0 else "question"
answer({"category": category})
