# Stands in for the official rabbitmq image: same user, same folders, same command, from Debian's package.
ARG BASE
FROM ${BASE}
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/.erlang.cookie /var/lib/rabbitmq/mnesia
# Debian's wrappers in /usr/sbin send the log to a file.
ENV PATH=/usr/lib/rabbitmq/bin:$PATH
CMD ["rabbitmq-server"]
