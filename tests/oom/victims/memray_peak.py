"""What a recording of memray's says was held at the highest total: a list of [file, line, bytes] as JSON."""
import collections
import json
import sys

import memray

held = collections.Counter()
reader = memray.FileReader(sys.argv[1])
for record in reader.get_high_watermark_allocation_records(merge_threads=True):
    innermost = record.stack_trace(max_stacks=1)
    if innermost:
        _, file, line = innermost[0]
        held[file, line] += record.size
print(json.dumps([[file, line, size] for (file, line), size in held.most_common(200)]))
