# One image for every service; docker-compose.yml says which command it runs.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CHRONICLE_DATA=/data
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

# The folder exists in the image with its owner, so that a new volume gets the same one.
RUN useradd --system --uid 10001 --no-create-home chronicle && install --directory --owner=chronicle /data
COPY . .
USER chronicle

EXPOSE 8000
CMD ["daphne", "--bind", "0.0.0.0", "--port", "8000", "--verbosity", "0", "chronicle.asgi:application"]
