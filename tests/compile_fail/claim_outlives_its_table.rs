use latchwork::Claims;

fn main() {
    let slugs = Claims::<String>::new();
    let claim = slugs.try_claim("ada");
    drop(slugs);
    drop(claim);
}
