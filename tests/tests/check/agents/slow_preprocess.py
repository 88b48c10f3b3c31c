"""The example of the bare contract, with work that can take long: `slow_preprocess.py FOLDER`, which it is in."""

import asyncio
import sys
import time

sys.path.insert(0, sys.argv[1])
import preprocess  # noqa: E402

work = preprocess.preprocess


def slow(request):
    time.sleep(request.get("seconds", 0))
    return work(request)


preprocess.preprocess = slow
asyncio.run(preprocess.main())
