//! Names that nobody else has: claimed before they are stored, and free again if that comes to nothing.
//!
//! A table of names, divided among locks that are held for a few instructions. A name is *claimed* while a guard
//! for it lives, and *kept* once the guard was committed or the name was marked as taken; it can be both, and is
//! free when it is neither. A guard finds its entry by a number, so that nothing of the user's runs when it is
//! dropped, but the drop of its name. The guard and the table have a copy of the name each: with the default, an
//! `Arc<str>`, a claim allocates once.

mod guard;
mod table;
mod taken;
mod unique;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;
use std::sync::Arc;

pub use self::guard::{Claim, ClaimHold, OwnedClaim};
use self::table::Table;
pub use self::taken::Taken;
pub use self::unique::{ClaimExhausted, UniqueClaim, numbered_suffixes, random_suffixes};
use crate::shards::spread;

/// Claims names, so that of those who want the same one at the same time exactly one gets it.
///
/// It keeps collisions in this process away from the database, whose unique index stays the authority: other
/// processes have their own claims. Names are compared as they are; bring them into one form (case,
/// Unicode) before. A kept name stays until it is [released](Self::release).
///
/// Names are `Arc<str>`s unless you say otherwise. A claim clones its name: anything that is cheap to clone will do.
///
/// # Examples
///
/// ```
/// use latchwork::{Claims, claim::numbered_suffixes};
///
/// let slugs: Claims = Claims::new();
/// let first = slugs.claim_unique("ada", numbered_suffixes(), 10)?;
/// let second = slugs.claim_unique("ada", numbered_suffixes(), 10)?;
/// assert_eq!((&**first.claim.name(), &**second.claim.name()), ("ada", "ada-2"));
/// first.claim.commit();   // the row is stored
/// drop(second);           // it could not be
/// assert!(slugs.is_taken("ada") && !slugs.is_taken("ada-2"));
/// # Ok::<(), latchwork::claim::ClaimExhausted>(())
/// ```
pub struct Claims<K = Arc<str>, S = RandomState> {
    table: Table<K>,
    hasher: S,
}

impl<K: Eq + Hash + Clone> Claims<K> {
    /// A table in which no name is taken.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::Claims::<u64>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K: Eq + Hash + Clone> Default for Claims<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash + Clone, S: BuildHasher> Claims<K, S> {
    /// As `new`, with a hasher of your own. The default one, `std`'s, withstands names that are chosen to
    /// collide.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use latchwork::Claims;
    ///
    /// let ids: Claims<u64, BuildHasherDefault<DefaultHasher>> = Claims::with_hasher(Default::default());
    /// assert!(ids.try_claim(7_u64).is_ok());
    /// ```
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self { table: Table::new(), hasher }
    }

    /// Claims a name, if it is free. It is free again when the claim is dropped.
    ///
    /// # Errors
    ///
    /// [`Taken`], with the name.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// let claim = slugs.try_claim("ada")?;
    /// assert!(slugs.try_claim("ada").is_err());
    /// drop(claim);
    /// assert!(slugs.try_claim("ada").is_ok());
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    pub fn try_claim(&self, name: impl Into<K>) -> Result<Claim<'_, K, S>, Taken<K>> {
        claim(self, name.into())
    }

    /// As [`try_claim`](Self::try_claim), with a claim that keeps the table alive.
    ///
    /// # Errors
    ///
    /// [`Taken`], with the name.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let slugs: Arc<latchwork::Claims> = Arc::default();
    /// let claim = slugs.try_claim_owned("ada")?;
    /// std::thread::spawn(move || drop(claim)).join().expect("it does not panic");
    /// assert!(!slugs.is_taken("ada"));
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    pub fn try_claim_owned(self: &Arc<Self>, name: impl Into<K>) -> Result<OwnedClaim<K, S>, Taken<K>> {
        claim(self.clone(), name.into())
    }

    /// Claims the first of `candidates` that is free; `max` of them are tried at most, and none is made before
    /// its turn.
    ///
    /// # Errors
    ///
    /// [`ClaimExhausted`] if none of them is free.
    ///
    /// # Examples
    ///
    /// ```
    /// let ports = latchwork::Claims::<u16>::new();
    /// ports.mark_taken(8080_u16);
    /// let port = ports.claim_first(8080..9000_u16, 100)?;
    /// assert_eq!((*port.claim.name(), port.attempts), (8081, 2));
    /// # Ok::<(), latchwork::claim::ClaimExhausted>(())
    /// ```
    pub fn claim_first(
        &self,
        candidates: impl IntoIterator<Item: Into<K>>,
        max: usize,
    ) -> Result<UniqueClaim<&Self>, ClaimExhausted> {
        unique::first(self, candidates, max)
    }

    /// As [`claim_first`](Self::claim_first), with a claim that keeps the table alive.
    ///
    /// # Errors
    ///
    /// [`ClaimExhausted`] if none of them is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let ports: Arc<latchwork::Claims<u16>> = Arc::default();
    /// let port = ports.claim_first_owned(8080..9000_u16, 100)?;
    /// assert_eq!(port.claim.commit(), 8080);
    /// # Ok::<(), latchwork::claim::ClaimExhausted>(())
    /// ```
    pub fn claim_first_owned(
        self: &Arc<Self>,
        candidates: impl IntoIterator<Item: Into<K>>,
        max: usize,
    ) -> Result<UniqueClaim<Arc<Self>>, ClaimExhausted> {
        unique::first(self.clone(), candidates, max)
    }

    /// Claims `base` or, if it is taken, `base` with the first of `suffixes` that makes a free name. `max`
    /// names are tried at most, `base` included, and no suffix is made before its turn.
    ///
    /// # Errors
    ///
    /// [`ClaimExhausted`] if none of them is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Claims, claim::numbered_suffixes};
    ///
    /// let slugs: Claims = Claims::new();
    /// slugs.mark_taken("ada");
    /// let slug = slugs.claim_unique("ada", numbered_suffixes(), 10)?;
    /// assert_eq!((&**slug.claim.name(), slug.attempts), ("ada-2", 2));
    /// assert!(slugs.claim_unique("ada", numbered_suffixes(), 2).is_err());
    /// # Ok::<(), latchwork::claim::ClaimExhausted>(())
    /// ```
    pub fn claim_unique(
        &self,
        base: &str,
        suffixes: impl IntoIterator<Item: fmt::Display>,
        max: usize,
    ) -> Result<UniqueClaim<&Self>, ClaimExhausted>
    where
        K: for<'a> From<&'a str>,
    {
        unique::first(self, unique::suffixed::<K>(base, suffixes), max)
    }

    /// As [`claim_unique`](Self::claim_unique), with a claim that keeps the table alive.
    ///
    /// # Errors
    ///
    /// [`ClaimExhausted`] if none of them is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let slugs: Arc<latchwork::Claims> = Arc::default();
    /// let slug = slugs.claim_unique_owned("ada", latchwork::claim::random_suffixes(4), 10)?;
    /// assert_eq!(**slug.claim.name(), *"ada");
    /// # Ok::<(), latchwork::claim::ClaimExhausted>(())
    /// ```
    pub fn claim_unique_owned(
        self: &Arc<Self>,
        base: &str,
        suffixes: impl IntoIterator<Item: fmt::Display>,
        max: usize,
    ) -> Result<UniqueClaim<Arc<Self>>, ClaimExhausted>
    where
        K: for<'a> From<&'a str>,
    {
        unique::first(self.clone(), unique::suffixed::<K>(base, suffixes), max)
    }

    /// Keeps a name that exists already: at the start, or when the database says so. Says whether it was free.
    ///
    /// If it is claimed at the time, it stays taken when that claim is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// let claim = slugs.try_claim("ada")?;
    /// slugs.mark_taken("ada");    // the unique index refused the row
    /// drop(claim);
    /// assert!(slugs.is_taken("ada"));
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    pub fn mark_taken(&self, name: impl Into<K>) -> bool {
        let name = name.into();
        let hash = self.hash(&name);
        self.table.keep(hash, name)
    }

    /// Frees a name that is kept: its row was deleted. Says whether it did; a name that is claimed it leaves
    /// alone.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// let claim = slugs.try_claim("ada")?;
    /// assert!(!slugs.release("ada"));
    /// claim.commit();
    /// assert!(slugs.release("ada") && !slugs.is_taken("ada"));
    /// # Ok::<(), latchwork::claim::Taken>(())
    /// ```
    pub fn release<Q>(&self, name: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.table.release(self.hash(name), |own| own.borrow() == name)
    }

    /// Whether the name is claimed or kept.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// slugs.mark_taken("ada");
    /// assert!(slugs.is_taken("ada") && !slugs.is_taken("grace"));
    /// ```
    #[must_use]
    pub fn is_taken<Q>(&self, name: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.table.contains(self.hash(name), |own| own.borrow() == name)
    }

    fn hash<Q: Hash + ?Sized>(&self, name: &Q) -> u64 {
        spread(self.hasher.hash_one(name))
    }
}

impl<K, S> Claims<K, S> {
    /// How many names are claimed or kept. Shards are counted one after the other, so under load it is the number
    /// of no one moment.
    ///
    /// # Examples
    ///
    /// ```
    /// let slugs: latchwork::Claims = latchwork::Claims::new();
    /// slugs.mark_taken("admin");
    /// let _claim = slugs.try_claim("ada");
    /// assert_eq!((slugs.len(), slugs.is_empty()), (2, false));
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether every name is free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a claim's holder leads to.
pub trait AsClaims {
    /// What its names are.
    type Name;

    #[doc(hidden)]
    fn table(&self) -> &Table<Self::Name>;
}

impl<K, S> AsClaims for Claims<K, S> {
    type Name = K;

    fn table(&self) -> &Table<K> {
        &self.table
    }
}

/// [`Claims`] that can hash a name.
trait Hashes: AsClaims<Name: Eq + Hash + Clone> {
    fn hash_of(&self, name: &Self::Name) -> u64;
}

impl<K: Eq + Hash + Clone, S: BuildHasher> Hashes for Claims<K, S> {
    fn hash_of(&self, name: &K) -> u64 {
        self.hash(name)
    }
}

/// Claims `name` through `holder`.
fn claim<H: Deref<Target: Hashes>>(
    holder: H,
    name: <H::Target as AsClaims>::Name,
) -> Result<ClaimHold<H>, Taken<<H::Target as AsClaims>::Name>> {
    let hash = holder.hash_of(&name);
    match holder.table().claim(hash, name.clone()) {
        Ok(number) => Ok(ClaimHold::new(holder, hash, number, name)),
        Err(is_kept) => Err(Taken { name, is_kept }),
    }
}

impl<K, S> fmt::Debug for Claims<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("names", &self.len()).finish_non_exhaustive()
    }
}
