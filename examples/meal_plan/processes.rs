//! Several processes behind one audience: this program with `--serve`, started more than once on one file. First each with
//! locks of its own, then with leases that they share. The handler and the layer are the same.

use std::env;
use std::path::Path;
use std::process::{self, Stdio};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::report::Run;
use crate::store::Store;
use crate::{Failure, GUARDED_FILE, drive, progress};

/// The database of the leases, with a schema for this comparison.
pub(crate) struct Place<'a> {
    url: &'a str,
    schema: String,
    pool: PgPool,
}

impl<'a> Place<'a> {
    pub(crate) async fn create(url: &'a str) -> Result<Self, Failure> {
        let schema = format!("meal_plan_{}", process::id());
        let options: PgConnectOptions = url.parse()?;
        let options = options.options([("search_path", &schema)]);
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&pool).await?;
        Ok(Self { url, schema, pool })
    }

    /// Returns how many keys are held.
    async fn held(&self) -> Result<usize, Failure> {
        let held = sqlx::query_scalar("SELECT count(*) FROM latchwork_locks WHERE holder IS NOT NULL");
        let held: i64 = held.fetch_one(&self.pool).await?;
        Ok(held.try_into()?)
    }

    pub(crate) async fn remove(self) -> Result<(), Failure> {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        sqlx::query(AssertSqlSafe(drop)).execute(&self.pool).await?;
        Ok(())
    }
}

/// Sends the users to several processes in turn. Without a `place` each process has locks of its own.
pub(crate) async fn run(
    place: Option<&Place<'_>>,
    dir: &Path,
    users: u32,
    count: usize,
) -> Result<Run, Failure> {
    std::fs::create_dir_all(dir)?;
    // The file is there before two processes open it at the same time.
    let store = Store::open(&dir.join(GUARDED_FILE)).await?;
    let mut services = Vec::new();
    for _ in 0..count {
        services.push(Service::start(place, dir).await?);
    }
    let urls: Vec<_> = services.iter().map(|service| service.url.clone()).collect();
    let bar = progress(if place.is_some() { "guarded" } else { "naive" }, users)?;
    let tally = drive::drive(&urls, users as usize, &bar).await;
    bar.finish();
    for service in services {
        service.stop().await?;
    }
    let keys_left = match place {
        Some(place) => place.held().await?,
        None => 0,
    };
    let run = Run { tally, audit: store.audit().await?, keys_left };
    store.close().await?;
    Ok(run)
}

/// A process that serves.
struct Service {
    child: Child,
    url: String,
    /// Open as long as the process may write.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Service {
    async fn start(place: Option<&Place<'_>>, dir: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--users", "0", "--serve", "--db"]).arg(dir);
        match place {
            Some(Place { url, schema, .. }) => {
                command.env("DATABASE_URL", url).env("PGOPTIONS", format!("-c search_path={schema}"))
            }
            None => command.env_remove("DATABASE_URL"),
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        while let Some(line) = stdout.next_line().await? {
            if let Some(rest) = line.strip_prefix("serving on ") {
                let url = rest.split(' ').next().unwrap_or(rest).to_owned();
                return Ok(Self { child, url, _stdout: stdout });
            }
        }
        Err("a process did not start; its words are above".into())
    }

    /// Interrupts it, as Ctrl-C does. It fails if a key stays held.
    async fn stop(mut self) -> Result<(), Failure> {
        let id = self.child.id().ok_or("a process has ended early")?;
        Command::new("kill").args(["-s", "INT", &id.to_string()]).status().await?;
        let status = self.child.wait().await?;
        if status.success() { Ok(()) } else { Err(format!("a process failed to stop: {status}").into()) }
    }
}
