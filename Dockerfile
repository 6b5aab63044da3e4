# rlkit for the CPU: docker build -t rlkit . && docker run --rm -v "$PWD/runs:/work/runs" rlkit list
# `--build-arg TORCH_INDEX=` takes torch from the package index as it comes, CUDA included.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=robotics,onnx

# A compiler for `--engine compile`; OpenGL without a display for pictures of MuJoCo.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git libegl1 libgl1 make \
    && rm -rf /var/lib/apt/lists/*
ENV MUJOCO_GL=egl OMP_NUM_THREADS=1 PIP_NO_CACHE_DIR=1

WORKDIR /opt/rlkit
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY rlkit rlkit
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"; \
    fi \
    && pip install -c constraints.txt -e ".[$EXTRAS]"

# Runs and datasets lie in the mounted folder, and belong to who mounts it: --user "$(id -u):$(id -g)".
WORKDIR /work
ENV HOME=/work MINARI_DATASETS_PATH=/work/datasets NUMBA_CACHE_DIR=/tmp/numba
ENTRYPOINT ["rlkit"]
CMD ["--help"]
