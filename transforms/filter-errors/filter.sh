#!/bin/sh
# Keeps the records that match PATTERN, a regular expression as jq understands it; drops the others.
# Mode once: the event on stdin, the answer on stdout.

# The first test is there to fail the invocation, with jq's words in the log, if PATTERN is wrong.
exec jq --compact-output --arg pattern "${PATTERN:?}" '
  ("" | test($pattern)) as $ignored
  | {records: [.records[] | {
      recordId,
      result: (try (if .data | @base64d | test($pattern) then "Ok" else "Dropped" end)
        catch "ProcessingFailed"),
      data
    }]}'
