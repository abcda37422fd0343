# Plays random and hostile calls against a hub, as /openapi.json describes it; sourced by tests/run.
#
# schemathesis comes from the package index into a folder of its own, target/schemathesis, once.

SCHEMATHESIS_VERSION=4.32.5
OPENAPI_SECONDS=60
# The same calls in every run, so that a change is judged by what it changed; another number plays
# others.
OPENAPI_SEED=${SYNCHUB_TEST_SEED:-2014}

# No 5xx, and every answer as documented: status, media type, shape.
run_openapi() {
  provide_python_tool schemathesis "$SCHEMATHESIS_VERSION" || return 1
  make_run_folder
  local folder="$RUN_FOLDER/openapi" port key pid result=0
  mkdir -p "$folder"
  port=$(free_port)
  export SYNCHUB__STORE__URL="sqlite://$folder/hub.db" SYNCHUB__HTTP__LISTEN="127.0.0.1:$port"
  key=$(target/debug/synchub account add tester --operator --json 2>/dev/null | sed -n 's/.*"key": *"\([^"]*\)".*/\1/p')
  [ -n "$key" ] || { echo "no key for the openapi round"; return 1; }
  target/debug/synchub serve --role intake >"$folder/log" 2>&1 &
  pid=$!
  STARTED+=("TERM $pid")
  wait_until 60 is_open "$port" || { cat "$folder/log"; return 1; }
  # A batch is NDJSON, which the tool cannot write; tests/it posts batches.
  target/schemathesis/bin/st run "http://127.0.0.1:$port/openapi.json" \
    --header "Authorization: Bearer $key" --exclude-path /v1/submissions/batch \
    --phases examples,coverage,fuzzing --max-time "$OPENAPI_SECONDS" --workers 2 --seed "$OPENAPI_SEED" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method \
    --suppress-health-check all --no-color || result=1
  # A hub that was talked to death has failed as well.
  kill -0 "$pid" 2>/dev/null || { echo "the hub ended:"; tail -20 "$folder/log"; result=1; }
  if grep -qi 'panicked' "$folder/log"; then grep -i -A3 panicked "$folder/log"; result=1; fi
  kill -TERM "$pid" 2>/dev/null && wait "$pid" || true
  unset SYNCHUB__STORE__URL SYNCHUB__HTTP__LISTEN
  return $result
}
