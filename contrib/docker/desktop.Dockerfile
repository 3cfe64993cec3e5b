# A small desktop with a VNC server, for compose.yaml. Anyone who reaches its port 5900 has it.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends fonts-dejavu-core openbox tigervnc-standalone-server xterm \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 desk
COPY --chmod=755 desktop /usr/local/bin/desktop
USER desk
WORKDIR /home/desk
EXPOSE 5900
CMD ["/usr/local/bin/desktop"]
