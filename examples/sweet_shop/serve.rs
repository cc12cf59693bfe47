//! A service that stays, for people with curl.

use crate::compare::{Failure, Life, Shop};
use crate::server::Server;
use crate::way::Way;

/// The name of the file, or the end of the schema's name.
const NAME: &str = "service";

/// How many pieces of each sweet there are in a new shop.
const STOCK: i64 = 100;

/// Serves until Ctrl-C, and then until no request is under way.
pub(crate) async fn serve<S: Shop>(place: &S::Place, way: Way, port: u16, json: bool) -> Result<(), Failure> {
    let shop = S::open(place, way, NAME, Life::Service, STOCK).await?;
    let admin = shop.admin().await?;
    let server = Server::start(shop.routes(), port).await?;
    let url = &server.url;
    let help = format!(
        "\nselling in the way `{way}` on {url} until Ctrl-C; try
  curl -i {url}/users -d '{{\"name\": \"ada\"}}'
  curl -i '{url}/sweets?name=caramel&max_cents=300'
  curl -i {url}/sweets/3/purchase -H 'Authorization: Bearer TOKEN' -d '{{\"quantity\": 2}}'
  curl -i {url}/sweets/3/restock -H 'Authorization: Bearer {admin}' -d '{{\"quantity\": 50}}'
  curl -i {url}/healthz",
        way = way.name()
    );
    // The JSON object stays the last line of stdout.
    if json {
        eprintln!("{help}");
    } else {
        println!("{help}");
    }
    tokio::signal::ctrl_c().await?;
    let keys = shop.figures().keys_left;
    eprintln!("stopping; keys held: {keys}");
    server.stop().await;
    shop.settle().await;
    shop.close(place).await?;
    eprintln!("stopped");
    Ok(())
}
