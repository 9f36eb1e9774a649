# PhotoSurf with all that it needs, for NVIDIA GPUs and for CPUs. docs/quickstart.md says how to build and run it.
# The image below it has no CUDA: PyTorch's wheels bring its libraries, `docker run --gpus` those of the driver.
FROM python:3.12-slim-bookworm

# gcc, libc6-dev: Triton compiles a launcher for each kernel when it is first used; Python's headers are there already.
# libgl1, libglib2.0-0, libxcb1: OpenCV's wheel links to them. libgomp1: the threads of Numba.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libgl1 libglib2.0-0 libxcb1 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 photosurf && mkdir -p /data /home/photosurf/.cache \
    && chmod 1777 /data /home/photosurf /home/photosurf/.cache

WORKDIR /photosurf
# Before the code, so that a change of the code installs nothing again. A small image for CPUs alone:
# docker build --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu .
ARG PIP_EXTRA_INDEX_URL
COPY requirements.txt ./
RUN python -m pip install --no-cache-dir --only-binary :all: -r requirements.txt

COPY launch.py LICENSE ./
COPY configs configs/
COPY datasets datasets/
COPY models models/
COPY systems systems/
COPY utils utils/
COPY scripts scripts/
COPY load/spot load/spot/
# Results lie in the folder that is mounted; scripts/container.sh makes what the links lead to.
RUN ln -s /data/exp exp && ln -s /data/runs runs

# HOME, USER: Triton, Numba and PyTorch keep what they compile there, whichever user runs it (docker run --user).
ENV DATA=/data HOME=/home/photosurf USER=photosurf PYTHONUNBUFFERED=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /data
USER photosurf
ENTRYPOINT ["sh", "/photosurf/scripts/container.sh"]
CMD ["demo"]
