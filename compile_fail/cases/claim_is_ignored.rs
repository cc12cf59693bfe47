#![deny(unused_must_use)]

use latchwork::{Claims, claim::numbered_suffixes};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slugs = Claims::<String>::new();
    slugs.try_claim("ada")?;
    slugs.claim_unique("ada", numbered_suffixes(), 3)?;
    Ok(())
}
