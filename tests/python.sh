# Tools from the Python package index; sourced by tests/run.

# provide_python_tool PACKAGE VERSION [EXTRAS]: installs a tool into a folder of its own,
# target/PACKAGE, once. Fails only the round that needs it: where there is no way to a package index,
# the others still run.
provide_python_tool() {
  local package=$1 version=$2 extras=${3:-} venv=target/$1
  if "$venv/bin/pip" show "$package" 2>/dev/null | grep -qxF "Version: $version"; then return; fi
  rm -rf "$venv"
  if ! python3 -m venv "$venv"; then
    printf 'tests/run: python3 cannot make a virtual environment\nhint: install python3 and python3-venv, or leave the round out: tests/run sqlite\n' >&2
    return 1
  fi
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check "$package$extras==$version"; then
    printf 'tests/run: %s %s cannot be installed\nhint: check the way to the package index, or leave the round out: tests/run sqlite\n' "$package" "$version" >&2
    return 1
  fi
}
