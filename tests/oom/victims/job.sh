#!/bin/sh
# A job script: does something, then runs a program (python, script and so on are the arguments), then ends as that did.
echo "job script"
"$@"
status=$?
echo "ended with $status"
exit $status
