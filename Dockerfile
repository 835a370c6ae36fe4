# ExGate with every plugin of this checkout but the kit for authors: see docs/deploying.md.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
# uv in the version and with the hashes of the lock
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt && pip install --no-cache-dir --no-deps -r uv.txt
COPY pyproject.toml README.md LICENSE ./
COPY exgate_core exgate_core
COPY plugins plugins
# cryptography is for Ed25519 keys.
RUN uv venv /opt/exgate \
    && uv pip install --python /opt/exgate/bin/python --no-cache --compile-bytecode --constraint requirements.lock \
        '.[client,fast]' cryptography ./plugins/exgate-paper ./plugins/exgate-binance ./plugins/exgate-kraken \
        ./plugins/exgate-okx ./plugins/exgate-ccxt

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home exgate \
    && install -d -m 0700 -o exgate -g exgate /var/lib/exgate \
    && install -d /etc/exgate
COPY --from=build /opt/exgate /opt/exgate
# Settings in /etc/exgate/exgate.toml, if there are any; token, journal and market lists in /var/lib/exgate.
ENV PATH=/opt/exgate/bin:/usr/local/bin:/usr/bin:/bin XDG_CONFIG_HOME=/etc XDG_STATE_HOME=/var/lib PYTHONUNBUFFERED=1
USER exgate
WORKDIR /var/lib/exgate
VOLUME /var/lib/exgate
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s \
    CMD ["exgate", "--url", "http://127.0.0.1:8000", "--json", "exchanges"]
ENTRYPOINT ["exgate"]
# Beyond loopback every request needs the token, and TLS is somebody else's: publish the port on loopback, or to a proxy.
CMD ["serve", "-s", "server.host=0.0.0.0", "-s", "server.tls=at-proxy"]
