//! A claimed name.

use std::fmt;
use std::hash::RandomState;
use std::ops::Deref;
use std::sync::Arc;

use super::table::ClaimNumber;
use super::{AsClaims, Claims};

/// A name that is claimed, until dropped or committed. `H` is how it holds on to its table.
///
/// It may be held across an `.await` and dropped on another thread. The name is free again in `Drop`, at once:
/// on return, on `?`, on panic and when the future that holds it is dropped.
#[must_use = "the name is free again at once if its claim is not kept"]
pub struct ClaimHold<H: Deref<Target: AsClaims>> {
    holder: H,
    hash: u64,
    number: ClaimNumber,
    name: <H::Target as AsClaims>::Name,
    is_committed: bool,
}

/// A name claimed of borrowed [`Claims`].
pub type Claim<'a, K = Arc<str>, S = RandomState> = ClaimHold<&'a Claims<K, S>>;

/// A claimed name that keeps its [`Claims`] alive.
pub type OwnedClaim<K = Arc<str>, S = RandomState> = ClaimHold<Arc<Claims<K, S>>>;

impl<H: Deref<Target: AsClaims>> ClaimHold<H> {
    pub(super) fn new(
        holder: H,
        hash: u64,
        number: ClaimNumber,
        name: <H::Target as AsClaims>::Name,
    ) -> Self {
        Self { holder, hash, number, name, is_committed: false }
    }

    /// The name.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// assert_eq!(**slugs.try_claim("ada")?.name(), *"ada");
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &<H::Target as AsClaims>::Name {
        &self.name
    }

    /// Keeps the name: what it stands for is stored. It stays taken until it is
    /// [released](Claims::release).
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// let name = slugs.try_claim("ada")?.commit();
    /// assert!(&*name == "ada" && slugs.is_taken("ada"));
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    pub fn commit(mut self) -> <H::Target as AsClaims>::Name
    where
        <H::Target as AsClaims>::Name: Clone,
    {
        self.is_committed = true;
        self.holder.table().end(self.hash, self.number, true);
        self.name.clone()
    }
}

impl<H: Deref<Target: AsClaims>> Drop for ClaimHold<H> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.holder.table().end(self.hash, self.number, false);
        }
    }
}

impl<H: Deref<Target: AsClaims>> fmt::Debug for ClaimHold<H>
where
    <H::Target as AsClaims>::Name: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimHold").field("name", self.name()).finish_non_exhaustive()
    }
}
