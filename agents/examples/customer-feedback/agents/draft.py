"""Drafts a reply, for somebody to read before it goes out."""

from task import answer, task

REPLIES = {
    "billing": "we are looking into the payment and will come back to you within a day.",
    "bug": "we can see what goes wrong and are working on it.",
    "delivery": "we are finding out where your parcel is.",
    "praise": "it is good to hear that.",
    "question": "here is what we can tell you.",
    "wish": "we have put this on our list.",
}

given = task()
name = given["name"] or "customer"
sorry = "we are sorry. " if given["mood"] < 0 else "thank you for writing. "
reply = REPLIES[given["category"]]
answer({"text": f"Dear {name}, {sorry}{reply[0].upper()}{reply[1:]}"})
