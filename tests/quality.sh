#!/usr/bin/env bash
# How good scores and alarms are: backtests over a folder of labelled series, with the release binary and the default
# configuration, judged by the program's own measures and held against what is aimed at. docs/quality.md says more.
#
#   tests/quality.sh [--agree EVALUATE.PY] [--output DIR] DIR [-- OPTIONS OF pulsewatch backtest]
#
# DIR has NAME/series.csv[.gz], NAME/labels.csv[.gz] and NAME/meta.json for each series.
#   --agree EVALUATE.PY   let another evaluator judge the same predictions (needs python3, and what the evaluator needs);
#                         a figure that differs by more than 1e-6 is an error
#   --output DIR          keep the predictions and report.json here
# PULSEWATCH names a binary to use instead of building one.
# Exit code: 0 all aims are met, 1 something failed or the evaluators disagree, 2 bad usage, 3 an aim is missed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    echo "tests/quality.sh: $1; usage: tests/quality.sh [--agree EVALUATE.PY] [--output DIR] DIR [-- OPTIONS]" >&2
    exit 2
}

agree='' output='' corpus=''
while [ $# -gt 0 ]; do
    case $1 in
        --agree | --output)
            [ $# -ge 2 ] || usage "$1 needs a value"
            declare "${1#--}=$2"
            shift 2
            ;;
        --)
            shift
            break
            ;;
        -*) usage "unknown option $1" ;;
        *)
            [ -z "$corpus" ] || usage "more than one folder is given"
            corpus=$1
            shift
            ;;
    esac
done
[ -n "$corpus" ] || usage "no folder is given"
[ -d "$corpus" ] || usage "$corpus is no folder"
[ -z "$agree" ] || [ -f "$agree" ] || usage "$agree is no file"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
output=${output:-$scratch/output}

binary=${PULSEWATCH:-}
if [ -z "$binary" ]; then
    . "$root/tests/toolchain.sh"
    cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml" --bin pulsewatch
    binary=${CARGO_TARGET_DIR:-$root/target}/release/pulsewatch
fi

# In a home of its own: nobody's configuration is in the figures.
began=$SECONDS
env -i HOME="$scratch/home" PATH="$PATH" TERM="${TERM:-}" "$binary" backtest --corpus "$corpus" \
    --output "$output/predictions" --json "$output/report.json" --data-dir "$scratch/data" "$@" |
    grep -v ' → '
echo "wall time $((SECONDS - began)) s"

# The report's families, a line per figure: family, measure, value, separated by tabs.
figures() {
    awk -F'"' '
        /^  "families": \{/ { inside = 1; next }
        /^  \}/ { inside = 0 }
        inside && /^    "/ { family = $2 }
        inside && /^      "/ {
            value = $3
            gsub(/[:, ]/, "", value)
            print family "\t" $2 "\t" value
        }' "$output/report.json"
}

# Prints what is aimed at beside what came out; fails when an aim is missed.
aims() {
    awk -F'\t' '
        { found[$1, $2] = $3; families[$1] = 1 }
        function aim(family, measure, title, at_least, limit, scale,   value, met, shown) {
            if (!(family in families)) return
            value = found[family, measure]
            known = value != "" && value != "null"
            met = known && (at_least ? value * scale >= limit : value * scale <= limit)
            shown = known ? sprintf("%.4f", value * scale) : "-"
            printf "%-8s %-18s %10s  %s %-6g %s\n", family, title, shown, at_least ? ">=" : "<=", limit, met ? "pass" : "MISS"
            asked++
            missed += !met
        }
        END {
            printf "%-8s %-18s %10s  %-9s\n", "family", "measure", "found", "aim"
            aim("ASD", "vus_pr", "VUS-PR", 1, 0.52, 1)
            aim("KPI", "vus_pr", "VUS-PR", 1, 0.60, 1)
            aim("NAB", "vus_pr", "VUS-PR", 1, 0.38, 1)
            aim("SMD", "vus_pr", "VUS-PR", 1, 0.64, 1)
            aim("ASD", "event_recall", "event recall", 1, 0.70, 1)
            aim("ASD", "false_alarms_per_day", "false alarms/day", 0, 1, 1)
            aim("KPI", "event_recall", "event recall", 1, 0.65, 1)
            aim("KPI", "false_alarms_per_day", "false alarms/day", 0, 0.5, 1)
            aim("SMD", "event_recall", "event recall", 1, 0.70, 1)
            aim("SMD", "false_alarms_per_day", "false alarms/day", 0, 1, 1)
            aim("NAB", "nab_onset", "NAB onset", 1, 55, 1)
            count = 0
            for (family in families) names[++count] = family
            # Sorted by hand: not every awk can.
            for (i = 2; i <= count; i++)
                for (j = i; j > 1 && names[j - 1] > names[j]; j--) {
                    name = names[j]; names[j] = names[j - 1]; names[j - 1] = name
                }
            for (i = 1; i <= count; i++) aim(names[i], "false_flag_rate", "false flags %", 0, 2, 100)
            printf "%d of %d aims met\n", asked - missed, asked
            exit missed > 0
        }'
}

compare() {
    python3 "$agree" --corpus "$corpus" --pred-dir "$output/predictions" --json "$scratch/theirs.json" >/dev/null
    python3 - "$output/report.json" "$scratch/theirs.json" <<'PYTHON'
import json, math, sys

ours, theirs = (json.load(open(path)) for path in sys.argv[1:])
# Their word: ours.
SERIES = {
    "n": "rows", "days": "days", "events": "events", "coverage": "coverage", "vus_pr": "vus_pr", "auc_pr": "auc_pr",
    "events_found": "events_found", "event_recall": "event_recall", "event_precision": "event_precision",
    "alarms": "alarms", "false_alarms": "false_alarms", "false_alarms_per_day": "false_alarms_per_day",
    "false_flag_rate": "false_flag_rate", "delay_median_s": "delay_secs", "delay_median_rel": "delay_share",
    "nab_rows": "nab_rows", "nab_onset": "nab_onset",
}
FAMILY = {
    "days": "days", "events": "events", "coverage": "coverage", "vus_pr": "vus_pr", "auc_pr": "auc_pr",
    "event_recall": "event_recall", "event_precision": "event_precision", "false_alarms": "false_alarms",
    "false_alarms_per_day": "false_alarms_per_day", "false_flag_rate": "false_flag_rate",
    "delay_median_rel": "delay_share", "nab_rows": "nab_rows", "nab_onset": "nab_onset",
}
compared, worst, wrong = 0, 0.0, []


def compare(name, words, ours, theirs):
    global compared, worst
    for their_word, our_word in words.items():
        if their_word not in theirs:
            continue
        b, a = theirs[their_word], ours.get(our_word)
        if isinstance(b, float) and math.isnan(b):
            b = None
        compared += 1
        if a is None or b is None:
            off = 0.0 if a is b else math.inf
        else:
            off = abs(a - b) / max(1.0, abs(b))
        worst = max(worst, off)
        if off > 1e-6:
            wrong.append(f"{name}: {our_word} is {a} here, {b} there")


reports = {report["name"]: report["judged"] for report in ours["reports"] if "judged" in report}
if set(reports) != set(theirs["series"]):
    wrong.append(f"series judged here: {sorted(reports)}, there: {sorted(theirs['series'])}")
for name in sorted(set(reports) & set(theirs["series"])):
    compare(name, SERIES, reports[name], theirs["series"][name])
for name, family in theirs["families"].items():
    compare(f"family {name}", FAMILY, ours.get("families", {}).get(name, {}), family)
print(f"{compared} figures compared with the other evaluator, largest difference {worst:.1e}")
for line in wrong:
    print(line, file=sys.stderr)
sys.exit(bool(wrong))
PYTHON
}

if [ -n "$agree" ]; then
    compare
fi
figures | aims || exit 3
