//! Servers of this run: each is started by the first test that asks, and stopped when the process ends, however that
//! happens.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    folder: PathBuf,
    /// Stops the server when its standard input is closed, at the end of this process at the latest.
    _script: Child,
}

impl Server {
    /// Runs a script for a shell, with the folder of the server's programs as its argument.
    ///
    /// It makes a temporary folder, starts the server there, and prints the folder. Then it closes standard output, and
    /// waits until standard input ends, which is when the process of the tests ends. At last it stops the server and
    /// removes the folder. Servers refuse to run as root: then the script runs as this user.
    ///
    /// # Panics
    ///
    /// Panics if the server does not start.
    pub(crate) fn start(script: &str, programs: &Path, user: &str) -> Self {
        let mut command = command("sh", user);
        command.args(["-c", script, "sh"]).arg(programs);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut script = command.spawn().expect("a shell starts");
        let mut folder = String::new();
        let out = script.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut folder).expect("the script writes text");
        assert!(!folder.is_empty(), "the server did not start; its words are above");
        Self { folder: folder.trim_end().into(), _script: script }
    }

    /// Returns the server's temporary folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Returns a command that runs a program: as this user, if root runs the tests.
pub(crate) fn command(program: impl AsRef<OsStr>, user: &str) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if is_root { Command::new("runuser") } else { Command::new(&program) };
    if is_root {
        command.args(["-u", user, "--"]).arg(program);
    }
    command.current_dir("/");
    command
}
