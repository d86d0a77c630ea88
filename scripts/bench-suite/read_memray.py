"""Prints as JSON what each line of a file held at the highest total, called functions included, by a recording of memray."""

import collections
import json
import sys

import memray

recording, file = sys.argv[1:]
held: collections.Counter[int] = collections.Counter()
for record in memray.FileReader(recording).get_high_watermark_allocation_records(merge_threads=True):
    for line in {line for _, name, line in record.stack_trace() if name == file}:
        held[line] += record.size
print(json.dumps(held))
