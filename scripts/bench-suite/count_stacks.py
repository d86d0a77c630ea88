"""Prints how many different callstacks a file of memray has at its peak. Usage: count_stacks.py FILE"""

import sys

from memray import FileReader

records = FileReader(sys.argv[1]).get_high_watermark_allocation_records(merge_threads=True)
print(len({tuple(record.stack_trace()) for record in records}))
