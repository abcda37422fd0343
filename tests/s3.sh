# Keeps files in an S3-compatible service; sourced by tests/run.
#
# moto's server comes from the package index into a folder of its own, target/moto, once. To use
# another service, set SYNCHUB_TEST_S3_ENDPOINT; its bucket is `synchub-test`.

MOTO_VERSION=5.2.1

run_s3() {
  local result=0 port
  if [ -z "${SYNCHUB_TEST_S3_ENDPOINT:-}" ]; then
    provide_python_tool moto "$MOTO_VERSION" '[server]' || return 1
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
