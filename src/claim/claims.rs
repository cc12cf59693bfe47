//! [`Claims`]: the names that are taken, and how to claim one.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::guard::{Claim, UniqueClaim};
use super::names::Names;
use super::suffixes::suffixed;
use super::taken::{ClaimExhausted, Taken};
use crate::shards::hash_of;

/// Claims names: of several calls that want the same name at the same time, exactly one gets it.
///
/// It is a handle: clones share one table of names, and so does each [`Claim`].
///
/// It keeps collisions inside this process away from the database. The database's unique index stays the authority,
/// because other processes have their own claims. Names are compared as they are: bring them into one form (case,
/// Unicode) before. A kept name stays taken until it is [released](Self::release).
///
/// Names are `Arc<str>` by default; any type with `Eq` and `Hash` works. A claim makes no copy of its name.
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
/// drop(second);           // storing it failed
/// assert!(slugs.is_taken("ada") && !slugs.is_taken("ada-2"));
/// # Ok::<(), latchwork::claim::ClaimExhausted>(())
/// ```
pub struct Claims<K = Arc<str>, S = RandomState> {
    names: Names<K>,
    hasher: S,
}

impl<K: Eq + Hash> Claims<K> {
    /// Creates a table in which every name is free.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K: Eq + Hash> Default for Claims<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, S: Clone> Clone for Claims<K, S> {
    fn clone(&self) -> Self {
        Self { names: self.names.clone(), hasher: self.hasher.clone() }
    }
}

impl<K: Eq + Hash, S: BuildHasher> Claims<K, S> {
    /// Creates a table with a hasher of your own. The default one, `std`'s, withstands names that are chosen to
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
        Self { names: Names::new(), hasher }
    }

    /// Claims a name if it is free. Dropping the claim frees it again.
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
    pub fn try_claim(&self, name: impl Into<K>) -> Result<Claim<K>, Taken<K>> {
        let name = name.into();
        let hash = hash_of(&self.hasher, &name);
        match self.names.claim(hash, name) {
            Ok(lent) => Ok(Claim::new(self.names.clone(), hash, lent)),
            Err((name, is_kept)) => Err(Taken::new(name, is_kept)),
        }
    }

    /// Claims the first of `candidates` that is free. It tries at most `max` names, and creates each name only when it tries it.
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
    ) -> Result<UniqueClaim<K>, ClaimExhausted> {
        let mut attempts = 0;
        for candidate in candidates.into_iter().take(max) {
            attempts += 1;
            if let Ok(claim) = self.try_claim(candidate) {
                return Ok(UniqueClaim::new(claim, attempts));
            }
        }
        Err(ClaimExhausted { attempts })
    }

    /// Claims `base`. If that is taken, it claims `base` with the first of `suffixes` that makes a free name. It tries at
    /// most `max` names, `base` included, and makes no suffix before its turn.
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
    /// let slugs = Claims::<String>::new();
    /// slugs.mark_taken("ada");
    /// let slug = slugs.claim_unique("ada", numbered_suffixes(), 10)?;
    /// assert_eq!((slug.claim.name().as_str(), slug.attempts), ("ada-2", 2));
    /// assert!(slugs.claim_unique("ada", numbered_suffixes(), 2).is_err());
    /// # Ok::<(), latchwork::claim::ClaimExhausted>(())
    /// ```
    pub fn claim_unique(
        &self,
        base: &str,
        suffixes: impl IntoIterator<Item: fmt::Display>,
        max: usize,
    ) -> Result<UniqueClaim<K>, ClaimExhausted>
    where
        K: for<'a> From<&'a str>,
    {
        self.claim_first(suffixed::<K>(base, suffixes), max)
    }

    /// Keeps a name that exists already: at the start, or when the database refuses it. Returns `true` if the name was
    /// free.
    ///
    /// A name that is claimed now stays taken when that claim is dropped.
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
        self.names.keep(hash_of(&self.hasher, &name), name)
    }

    /// Frees a kept name: its row was deleted. Returns `true` if the name was kept; a claimed name is not freed.
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
        self.names.release(hash_of(&self.hasher, name), |own| own.borrow() == name)
    }

    /// Returns `true` if the name is claimed or kept.
    #[must_use]
    pub fn is_taken<Q>(&self, name: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.names.contains(hash_of(&self.hasher, name), |own| own.borrow() == name)
    }
}

impl<K, S> Claims<K, S> {
    /// Returns the number of names that are claimed or kept. Shards are counted one after the other, so under load the
    /// parts of the sum belong to slightly different moments.
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
        self.names.len()
    }

    /// Returns `true` if every name is free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, S> fmt::Debug for Claims<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("names", &self.len()).finish_non_exhaustive()
    }
}
