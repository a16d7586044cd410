#!/usr/bin/env bash
# Writes what the tasks models are trained and checked on into train/corpus/: the same everywhere.
set -euo pipefail
cd "$(dirname "$0")"
[ -e corpus/tasks.jsonl ] && exit 0
write() { node ../dist/cli/main.js parallelbench --write-corpus "$@"; }
most=copy,reverse,sort,replace-index,replace-random,insert-index,insert-random,remove-index
most=$most,remove-random,shuffle,sentence,latin,sudoku-4,reversal
mkdir -p corpus/partial
node ../dist/cli/main.js parallelbench --write-words corpus/words.json
write corpus/test.jsonl --split test --seed 1 --count 3400
write corpus/partial/most.jsonl --seed 1 --count 200000 --tasks "$most"
write corpus/partial/large.jsonl --seed 2 --count 6000 --tasks sudoku-6 # slow to make
cat corpus/partial/most.jsonl corpus/partial/large.jsonl > corpus/partial/tasks.jsonl
mv corpus/partial/tasks.jsonl corpus/tasks.jsonl
rm -r corpus/partial
