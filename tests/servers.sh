# Private PostgreSQL and RabbitMQ for one run of the tests; sourced by tests/run.
#
# `provide_*` finds or installs a server, `start_*` starts it and exports its address for the tests.
# Whatever was started here is stopped by its own pid when the run ends, however it ends.

RUN_FOLDER=""
# What was started: the signal that ends it at once and cleanly, and its pid.
STARTED=()
# Nothing has to survive a power cut in a run of tests; the tests of durability start servers of
# their own, and the benchmark empties this.
POSTGRES_SETTINGS=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)

fail() {
  printf 'tests/run: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# Stops what this run started, last first, and removes its data.
stop_servers() {
  local at signal pid
  for ((at = ${#STARTED[@]} - 1; at >= 0; at--)); do
    read -r signal pid <<<"${STARTED[at]}"
    kill "-$signal" "$pid" 2>/dev/null || continue
    for _ in {1..100}; do
      kill -0 "$pid" 2>/dev/null || continue 2
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
  if [ -n "$RUN_FOLDER" ]; then
    rm -rf "$RUN_FOLDER"
  fi
}
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_run_folder() {
  [ -n "$RUN_FOLDER" ] && return
  RUN_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/synchub-tests.XXXXXX")
  # PostgreSQL runs as another user when we are root, and has to get through.
  chmod 711 "$RUN_FOLDER"
}

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Whether somebody listens on the loopback port.
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints a loopback port that nobody listens on, below those that outgoing connections take.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    is_open "$port" || { echo "$port"; return; }
  done
  fail "no free loopback port between 20000 and 32000" "end what occupies them"
}

# wait_until SECONDS COMMAND …: whether COMMAND came true in time.
wait_until() {
  local until=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.1
  done
}

# install_package PACKAGE WHAT VARIABLE: installs a Debian package, if we may.
install_package() {
  local become=() hint="install it (Debian: apt-get install $1), or set $3 to the address of one that runs"
  command -v apt-get >/dev/null || fail "$2 is missing, and there is no apt-get" "$hint"
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || fail "$2 is missing, and only root may install it" "$hint"
    become=(sudo -n)
  fi
  echo "tests/run: installing $1" >&2
  # The package must not start a server of its own, which would listen for everyone.
  local policy=/usr/sbin/policy-rc.d own_policy=no result=0
  if [ ! -e $policy ]; then
    own_policy=yes
    printf '#!/bin/sh\nexit 101\n' | "${become[@]}" tee $policy >/dev/null
    "${become[@]}" chmod 755 $policy
  fi
  {
    "${become[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update &&
      "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "$1"
  } >&2 || result=$?
  [ $own_policy = no ] || "${become[@]}" rm -f $policy
  [ $result = 0 ] || fail "$1 could not be installed" "$hint"
}

# Prints the folder of the newest PostgreSQL programs.
find_postgres() {
  local folder
  while read -r folder; do
    [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && { echo "$folder"; return; }
  done < <(
    ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV
    dirname "$(command -v postgres)" 2>/dev/null
  )
  return 1
}

# The fault tests break servers of their own, so the programs are needed even when an address is given.
provide_postgres() {
  if ! find_postgres >/dev/null; then
    install_package postgresql PostgreSQL SYNCHUB_TEST_POSTGRES_URL
    find_postgres >/dev/null || fail "PostgreSQL was installed, but its programs are not under /usr/lib/postgresql" "put the folder with \`initdb\` and \`postgres\` into PATH"
  fi
  SYNCHUB_TEST_POSTGRES_BIN=$(find_postgres)
  export SYNCHUB_TEST_POSTGRES_BIN
}

start_postgres() {
  [ -z "${SYNCHUB_TEST_POSTGRES_URL:-}" ] || return 0
  make_run_folder
  local folder=$RUN_FOLDER/postgres bin=$SYNCHUB_TEST_POSTGRES_BIN as=() port word
  mkdir "$folder"
  word=$(random_word)
  printf '%s\n' "$word" >"$folder/word"
  # PostgreSQL refuses to run as root.
  if [ "$(id -u)" = 0 ]; then
    local owner=postgres
    id postgres >/dev/null 2>&1 || owner=nobody
    chown -R "$owner" "$folder"
    as=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups)
  fi
  as+=(env "HOME=$folder" LC_ALL=C)
  (cd "$folder" && "${as[@]}" "$bin/initdb" -D "$folder/data" -U synchub -A password --pwfile="$folder/word" \
    -E UTF8 --locale=C --no-sync --no-instructions) >"$folder/log" 2>&1 ||
    fail "initdb failed: $(tail -n 3 "$folder/log")" "see the lines above; is the disk full?"
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    (cd "$folder" && exec "${as[@]}" "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
      -c unix_socket_directories= -c max_connections=300 -c shared_buffers=128MB \
      "${POSTGRES_SETTINGS[@]}") >>"$folder/log" 2>&1 &
    local pid=$!
    POSTGRES_PID=$pid
    # INT does not wait for those who are connected, TERM would.
    STARTED+=("INT $pid")
    export SYNCHUB_TEST_POSTGRES_URL="postgres://synchub:$word@127.0.0.1:$port/postgres"
    if wait_until 30 postgres_answers "$pid" "$bin" "$port" "$word"; then
      return
    fi
    kill -0 "$pid" 2>/dev/null && break
  done
  fail "PostgreSQL did not start: $(tail -n 3 "$folder/log")" "see the lines above"
}

postgres_answers() {
  # Ended already, for instance because another program took the port meanwhile.
  kill -0 "$1" 2>/dev/null || return 0
  PGPASSWORD=$4 "$2/psql" -h 127.0.0.1 -p "$3" -U synchub -d postgres -XAtqc 'SELECT 1' >/dev/null 2>&1
}

RABBITMQ_PROGRAMS=/usr/lib/rabbitmq/bin

provide_rabbitmq() {
  [ -x $RABBITMQ_PROGRAMS/rabbitmq-server ] && return
  install_package rabbitmq-server RabbitMQ SYNCHUB_TEST_AMQP_URL
  [ -x $RABBITMQ_PROGRAMS/rabbitmq-server ] || fail "RabbitMQ was installed, but not under $RABBITMQ_PROGRAMS" "set SYNCHUB_TEST_AMQP_URL to the address of one that runs"
}

start_rabbitmq() {
  [ -z "${SYNCHUB_TEST_AMQP_URL:-}" ] || return 0
  make_run_folder
  local folder=$RUN_FOLDER/rabbitmq port distribution_port names_port epmd
  mkdir -p "$folder"/{mnesia,log,home,schema}
  echo '[].' >"$folder/enabled_plugins"
  port=$(free_port) distribution_port=$(free_port) names_port=$(free_port)
  cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
log.file.level = warning
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
CONF
  # Erlang's register of names; started by us, so that we know its pid and nobody else's is used.
  epmd=$(command -v epmd || ls /usr/lib/erlang/erts-*/bin/epmd 2>/dev/null | head -n 1)
  [ -n "$epmd" ] || fail "epmd, a part of Erlang, is missing" "install erlang-base"
  ERL_EPMD_ADDRESS=127.0.0.1 "$epmd" -port "$names_port" >"$folder/log/epmd" 2>&1 &
  STARTED+=("TERM $!")
  # Not /usr/sbin/rabbitmq-server, which changes to the user and the folders of the system's broker.
  env HOME="$folder/home" RABBITMQ_BASE="$folder" RABBITMQ_NODENAME="synchub$port@localhost" \
    RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_MNESIA_BASE="$folder/mnesia" \
    RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_SCHEMA_DIR="$folder/schema" \
    RABBITMQ_GENERATED_CONFIG_DIR="$folder/config" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" \
    RABBITMQ_PID_FILE="$folder/pid" RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_DIST_PORT="$distribution_port" ERL_EPMD_PORT="$names_port" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_SERVER_START_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none' \
    $RABBITMQ_PROGRAMS/rabbitmq-server >"$folder/log/out" 2>&1 &
  local launcher=$!
  if ! wait_until 60 test -s "$folder/pid"; then
    STARTED+=("TERM $launcher")
    fail "RabbitMQ did not start: $(tail -n 5 "$folder/log/out")" "see the lines above"
  fi
  # The launcher becomes the node or waits for it; the node's own pid is the one to end.
  RABBITMQ_PID=$(cat "$folder/pid")
  STARTED+=("TERM $RABBITMQ_PID")
  wait_until 60 amqp_answers "$port" ||
    fail "RabbitMQ did not open its port: $(tail -n 5 "$folder/log/out")" "see the lines above"
  export SYNCHUB_TEST_AMQP_URL="amqp://guest:guest@127.0.0.1:$port/%2f"
}

# Whether a broker greets on the port: it answers the protocol header with a method frame (1).
amqp_answers() {
  local first
  first=$( (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'AMQP\x00\x00\x09\x01' >&3 && timeout 2 head -c 1 <&3 | od -An -tu1) 2>/dev/null | tr -d ' ')
  [ "$first" = 1 ]
}
