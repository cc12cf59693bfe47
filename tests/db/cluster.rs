//! The PostgreSQL server of this run.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use super::server::Server;

/// The server listens at a socket in its folder and nowhere else.
const SCRIPT: &str = r#"
set -eu
dir=$(mktemp -d)
stop() {
    "$1/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap 'stop "$1"' EXIT
# Only then does the trap above run, whatever the shell.
trap 'exit 1' INT TERM HUP
trap '' PIPE
cd "$dir"
"$1/initdb" -D "$dir/data" -U tests -A trust -E UTF8 --locale=C >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-c listen_addresses='' -c unix_socket_directories='$dir' \
    -c max_connections=300 -c max_prepared_transactions=0" start >/dev/null || { cat "$dir/log" >&2; exit 1; }
echo "$dir"
exec 1>&-
cat >/dev/null
"#;

const MISSING: &str = "PostgreSQL's server is not installed: run tests/run, which installs the package of the \
                       distribution, or set PG_BIN to the folder of initdb and pg_ctl";

/// The server refuses to run as root, so root runs it as the user that the package has made.
pub(crate) const USER: &str = "postgres";

static CLUSTER: LazyLock<Server> = LazyLock::new(|| Server::start(SCRIPT, &programs().expect(MISSING), USER));

/// Returns the folder of the server's socket.
pub(crate) fn socket() -> &'static Path {
    CLUSTER.folder()
}

/// Starts a server, and returns it with the folder of its programs.
pub(crate) fn start() -> (Server, PathBuf) {
    let programs = programs().expect(MISSING);
    (Server::start(SCRIPT, &programs, USER), programs)
}

/// Returns the folder of the server's programs: the newest of those that are installed.
fn programs() -> Option<PathBuf> {
    let has_all = |dir: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| dir.join(name).exists());
    if let Some(dir) = env::var_os("PG_BIN").map(PathBuf::from) {
        return Some(dir).filter(has_all);
    }
    let mut versions: Vec<(u32, PathBuf)> = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"]
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.trim_start_matches("postgresql@").parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, dir)| has_all(dir))
        .collect();
    versions.sort();
    let on_path = env::split_paths(&env::var_os("PATH")?).find(has_all);
    versions.pop().map(|(_, dir)| dir).or(on_path)
}
