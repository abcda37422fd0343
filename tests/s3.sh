# Keeps files in an S3-compatible service; sourced by tests/run.
#
# moto's server comes from the package index into a folder of its own, target/moto, once. To use
# another service, set SYNCHUB_TEST_S3_ENDPOINT; its bucket is `synchub-test`.

MOTO_VERSION=5.2.1

# Fails only its own round: where there is no way to a package index, the others still run.
provide_moto() {
  local venv=target/moto
  if "$venv/bin/pip" show moto 2>/dev/null | grep -qF "Version: $MOTO_VERSION"; then return; fi
  rm -rf "$venv"
  if ! python3 -m venv "$venv"; then
    printf 'tests/run: python3 cannot make a virtual environment\nhint: install python3 and python3-venv, or leave the round out: tests/run sqlite\n' >&2
    return 1
  fi
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$MOTO_VERSION"; then
    printf 'tests/run: moto %s cannot be installed\nhint: check the way to the package index, or leave the round out: tests/run sqlite\n' "$MOTO_VERSION" >&2
    return 1
  fi
}

run_s3() {
  local result=0 port
  if [ -z "${SYNCHUB_TEST_S3_ENDPOINT:-}" ]; then
    provide_moto || return 1
    make_run_folder
    port=$(free_port)
    target/moto/bin/moto_server -H 127.0.0.1 -p "$port" >"$RUN_FOLDER/moto.log" 2>&1 &
    STARTED+=("TERM $!")
    wait_until 60 is_open "$port" || { cat "$RUN_FOLDER/moto.log"; return 1; }
    export SYNCHUB_TEST_S3_ENDPOINT="http://127.0.0.1:$port"
    curl -fsS -o /dev/null -X PUT "$SYNCHUB_TEST_S3_ENDPOINT/synchub-test" || return 1
  fi
  cargo test --locked --lib -- --ignored attachment::tests::s3 || result=1
  return $result
}
