//! The guarded service that stays, for people with curl.

use latchwork::mode::{Mode, ModeSwitch};
use latchwork::publish::Publisher;

use crate::compare::{Failure, Life, Service};
use crate::control::{self, Control};
use crate::server::Server;
use crate::side::Side;
use crate::upstream::Kitchen;

/// Serves until Ctrl-C, and then until no request is under way.
pub(crate) async fn serve<S>(home: &S::Home, mode: Mode, port: u16, json: bool) -> Result<(), Failure>
where
    S: Service + Clone + Send + Sync + 'static,
{
    let mode = ModeSwitch::new(mode);
    let users = [("ada".to_owned(), "engine".to_owned())];
    let side = Side::Guarded(mode.clone());
    let service = S::open(home, side, Life::Service, Kitchen::reliable(), &users).await?;
    let publisher = service.publish(Publisher::new());
    let counted = service.clone();
    let counts = Box::new(move || counted.scope_counts());
    let control = Control { mode, counts, publisher, scrape: control::recorder()? };
    let server = Server::start(service.routes().merge(control.routes()), port).await?;
    let url = &server.url;
    let help = format!(
        "\nserving on {url} until Ctrl-C; try
  curl -i {url}/login -d '{{\"name\": \"ada\", \"password\": \"engine\"}}'
  curl -i {url}/preferences -X PUT -H 'Authorization: Bearer TOKEN' -d '{{\"dish\": \"ramen\", \"theme\": \"dark\"}}'
  curl -i {url}/preferences -H 'Authorization: Bearer TOKEN'
  curl -i {url}/menu -X POST -H 'Authorization: Bearer TOKEN'
  curl -i '{url}/menu?kitchen=hang' -X POST -H 'Authorization: Bearer TOKEN'
  curl -i {url}/mode -X PUT -d '{{\"mode\": \"observe\"}}'
  curl -i {url}/metrics
  curl -i {url}/healthz"
    );
    // The JSON object stays the last line of stdout.
    if json {
        eprintln!("{help}");
    } else {
        println!("{help}");
    }
    tokio::signal::ctrl_c().await?;
    eprintln!("stopping; transactions open: {}", service.scope_counts().open());
    server.stop().await;
    let seen = service.seen().await?;
    service.close().await?;
    eprintln!("stopped; connections leaked: {}", seen.leaked());
    Ok(())
}
