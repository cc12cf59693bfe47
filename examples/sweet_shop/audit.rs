//! What the database holds when all have gone home, compared with what people were told.
//!
//! A delivery is a million pieces, and all customers together ask for fewer pieces of one sweet. So the change of a stock
//! has one reading as deliveries minus purchases, whatever was lost on the way: 1 999 993 is two deliveries and seven
//! pieces sold.
//!
//! - Pieces that people were told they have, and that the stock still has or never had, are **oversold**.
//! - Deliveries that were answered with 200, and are not in the stock, are **lost restocks**.
//! - A customer who hangs up does not know what became of the purchase: it may be in the stock or not.

use std::collections::BTreeMap;

/// How many pieces a delivery has.
pub(crate) const DELIVERY: i64 = 1_000_000;

/// What people were told about a sweet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    /// Pieces whose purchase was answered with 200.
    pub(crate) sold: i64,
    /// Pieces whose purchase was not answered.
    pub(crate) maybe_sold: i64,
    /// Deliveries that were answered with 200.
    pub(crate) restocks: i64,
    /// Deliveries that failed, so that they may be in the stock or not.
    pub(crate) maybe_restocks: i64,
}

impl Told {
    pub(crate) fn add(&mut self, part: Self) {
        self.sold += part.sold;
        self.maybe_sold += part.maybe_sold;
        self.restocks += part.restocks;
        self.maybe_restocks += part.maybe_restocks;
    }
}

#[derive(Default)]
pub(crate) struct Audit {
    pub(crate) oversold: i64,
    pub(crate) lost_restocks: i64,
    /// What else is wrong.
    pub(crate) broken: Vec<String>,
}

/// Compares the stocks, by sweet, before the first request and after the last one.
pub(crate) fn audit(
    told: &BTreeMap<i64, Told>,
    before: &BTreeMap<i64, i64>,
    after: &BTreeMap<i64, i64>,
) -> Audit {
    let mut audit = Audit::default();
    for (sweet, told) in told {
        let (Some(before), Some(after)) = (before.get(sweet), after.get(sweet)) else {
            audit.broken.push(format!("sweet {sweet} is gone"));
            continue;
        };
        let change = after - before;
        // Rounded up: what is missing was sold.
        let restocks = (change + DELIVERY - 1).div_euclid(DELIVERY);
        let sold = restocks * DELIVERY - change;
        audit.oversold += (told.sold - sold).max(0);
        audit.lost_restocks += (told.restocks - restocks).max(0);
        let mut promise = |kept: bool, otherwise: &str| {
            if !kept {
                audit.broken.push(format!("{otherwise} of sweet {sweet}: {before} became {after}"));
            }
        };
        promise(*after >= 0, "fewer than none are left");
        promise(sold <= told.sold + told.maybe_sold, "pieces are gone that nobody bought");
        promise(restocks <= told.restocks + told.maybe_restocks, "pieces have come that nobody delivered");
    }
    audit
}
