#!/bin/sh
# The commands of the image that the Dockerfile makes: demo, capture INPUT, as make has them; all else as it stands.
set -eu
mkdir -p "$DATA/load" "$DATA/exp" "$DATA/runs" 2>/dev/null && test -w "$DATA/exp" || {
    echo "error: $DATA: user $(id -u) cannot write there; give your own: docker run --user \"\$(id -u):\$(id -g)\" …" >&2
    exit 2
}
case "${1:-}" in
demo)
    shift
    exec python launch.py --config configs/neus-demo.yaml --train "$@"
    ;;
capture)
    if [ $# -lt 2 ]; then
        echo "error: INPUT is missing, for example: docker run … photosurf capture cup.mp4" >&2
        exit 2
    fi
    input=$2
    shift 2
    case "$input" in /*) ;; *) input=$DATA/$input ;; esac
    out=$DATA/load/$(basename "$input" | sed 's/\.[^.]*$//')
    python scripts/prepare.py "$input" "$out"
    exec python launch.py --config configs/neus-capture.yaml --train "dataset.root_dir=$out" "$@"
    ;;
*)
    exec "$@"
    ;;
esac
