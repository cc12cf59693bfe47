//! The workers, as the parent sees them: processes that it starts, instructs, kills, stops and continues.

use std::collections::BTreeMap;
use std::env;
use std::process::Stdio;

use hdrhistogram::Histogram;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::locks::Side;
use super::protocol::{Change, Instruction, Notice};
use crate::audit::Told;
use crate::compare::Failure;

/// What the workers told, in sum.
pub(crate) struct Tally {
    pub(crate) purchases: u64,
    pub(crate) deliveries: u64,
    pub(crate) sold_out: u64,
    pub(crate) refused: u64,
    pub(crate) grants: u64,
    pub(crate) batches: u64,
    /// Microseconds until a change was stored, the wait for the lock included.
    pub(crate) took: Histogram<u64>,
    /// By sweet.
    pub(crate) told: BTreeMap<i64, Told>,
    pub(crate) failures: Vec<String>,
}

pub(crate) struct Team {
    workers: Vec<Worker>,
    notices: UnboundedReceiver<(usize, Option<Notice>)>,
    pub(crate) tally: Tally,
}

struct Worker {
    child: Child,
    /// `None` if it has been told to end.
    stdin: Option<ChildStdin>,
    /// Whether it still talks.
    is_there: bool,
}

impl Team {
    /// Starts the workers, and waits until they are ready.
    pub(crate) async fn start(
        side: Side,
        count: usize,
        url: &str,
        schema: &str,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (say, notices) = unbounded_channel();
        let mut seeds = fastrand::Rng::with_seed(seed);
        let mut workers = Vec::new();
        for nth in 0..count {
            let mut child = Command::new(env::current_exe()?)
                .args(["--worker", side.name(), "--seed", &seeds.u64(..).to_string()])
                .env("DATABASE_URL", url)
                .env("PGOPTIONS", format!("-c search_path={schema}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let stdin = child.stdin.take();
            tokio::spawn(listen(nth, child.stdout.take().expect("it is piped"), say.clone()));
            workers.push(Worker { child, stdin, is_there: true });
        }
        let tally = Tally {
            purchases: 0,
            deliveries: 0,
            sold_out: 0,
            refused: 0,
            grants: 0,
            batches: 0,
            took: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            told: BTreeMap::new(),
            failures: Vec::new(),
        };
        let mut team = Self { workers, notices, tally };
        let mut ready = 0;
        while ready < count {
            ready += usize::from(matches!(team.next().await?, (_, Notice::Ready)));
        }
        Ok(team)
    }

    /// Returns the next thing that a worker says, and counts it.
    ///
    /// # Errors
    ///
    /// Returns an error if a change failed, or if a worker ends that was not told to.
    pub(crate) async fn next(&mut self) -> Result<(usize, Notice), Failure> {
        loop {
            let (nth, notice) = self.notices.recv().await.ok_or("no worker is left")?;
            match notice {
                Some(Notice::Failed { error }) => return Err(format!("worker {nth}: {error}").into()),
                Some(notice) => {
                    self.tally.count(&notice);
                    return Ok((nth, notice));
                }
                None => {}
            }
            let worker = &mut self.workers[nth];
            worker.is_there = false;
            if worker.stdin.is_some() {
                return Err(format!("worker {nth} has ended: {}", worker.child.wait().await?).into());
            }
        }
    }

    /// Waits until they have sold this often.
    pub(crate) async fn until_sold(&mut self, purchases: u64) -> Result<(), Failure> {
        while self.tally.purchases < purchases {
            self.next().await?;
        }
        Ok(())
    }

    pub(crate) async fn instruct_all(&mut self, instruction: Instruction) -> Result<(), Failure> {
        for nth in 0..self.workers.len() {
            self.instruct(nth, instruction).await?;
        }
        Ok(())
    }

    pub(crate) async fn instruct(&mut self, nth: usize, instruction: Instruction) -> Result<(), Failure> {
        let line = serde_json::to_string(&instruction)? + "\n";
        let stdin = self.workers[nth].stdin.as_mut().ok_or("it has ended")?;
        Ok(stdin.write_all(line.as_bytes()).await?)
    }

    /// Kills the worker wherever it is.
    pub(crate) async fn kill(&mut self, nth: usize) -> Result<(), Failure> {
        let worker = &mut self.workers[nth];
        worker.stdin = None;
        Ok(worker.child.kill().await?)
    }

    /// Sends it a signal by its name: `STOP` or `CONT`.
    pub(crate) async fn signal(&self, nth: usize, signal: &str) -> Result<(), Failure> {
        let id = self.workers[nth].child.id().ok_or("it has ended")?;
        let sent = Command::new("kill").args(["-s", signal, &id.to_string()]).status().await?;
        if sent.success() {
            Ok(())
        } else {
            Err(format!("worker {nth} did not get the signal {signal}").into())
        }
    }

    /// Lets all workers end, and returns what they told.
    pub(crate) async fn end(mut self) -> Result<Tally, Failure> {
        for worker in &mut self.workers {
            worker.stdin = None;
        }
        while self.workers.iter().any(|worker| worker.is_there) {
            let Some((nth, notice)) = self.notices.recv().await else { break };
            match notice {
                Some(notice) => self.tally.count(&notice),
                None => self.workers[nth].is_there = false,
            }
        }
        for worker in &mut self.workers {
            worker.child.wait().await?;
        }
        Ok(self.tally)
    }
}

/// Passes on what the worker says, and `None` at its end.
async fn listen(nth: usize, stdout: ChildStdout, say: UnboundedSender<(usize, Option<Notice>)>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let error = |error: serde_json::Error| Notice::Failed { error: format!("{line:?}: {error}") };
        let notice = serde_json::from_str(&line).unwrap_or_else(error);
        say.send((nth, Some(notice))).ok();
    }
    say.send((nth, None)).ok();
}

impl Tally {
    fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::Changed { change, micros, .. } => {
                self.took.saturating_record(*micros);
                let told = self.told.entry(change.sweet()).or_default();
                match change {
                    Change::Purchase { pieces, .. } => {
                        self.purchases += 1;
                        told.sold += pieces;
                    }
                    Change::Delivery { .. } => {
                        self.deliveries += 1;
                        told.restocks += 1;
                    }
                }
            }
            Notice::SoldOut => self.sold_out += 1,
            Notice::Refused => self.refused += 1,
            Notice::Failed { error } => self.failures.push(error.clone()),
            Notice::Ended { grants, batches } => {
                self.grants += grants;
                self.batches += batches;
            }
            Notice::Ready | Notice::Paused { .. } => {}
        }
    }
}
