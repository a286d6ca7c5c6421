//! Which globals a pickle may name.

use std::collections::HashSet;

use super::{Error, Global, names};
use crate::Language;

impl Global {
    /// The module and name that Python 3 has for this.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::{Language, pickle::Global};
    ///
    /// let global = Global {
    ///     module: "Queue".into(),
    ///     name: "Empty".into(),
    ///     language: Language::Python2,
    /// };
    /// assert_eq!(global.python3(), ("queue", "Empty"));
    /// ```
    #[must_use]
    pub fn python3(&self) -> (&str, &str) {
        match self.language {
            Language::Python2 => names::to_python3(&self.module, &self.name),
            Language::Python3 => names::canonical(&self.module, &self.name),
        }
    }

    /// The module and name that Python 2 has for this, if it has it at all.
    #[must_use]
    pub fn python2(&self) -> (&str, &str) {
        match self.language {
            Language::Python2 => (&self.module, &self.name),
            Language::Python3 => names::to_python2(&self.module, &self.name),
        }
    }
}

/// Which globals a pickle may name, for the sake of the interpreters that the values go on to.
///
/// Nothing is ever looked up or called here, so the default is to allow all. With a list, a value
/// that names anything else is refused as a whole. Plain data never needs the list: numbers, text,
/// bytes, bytearrays, tuples, lists, dicts, sets and frozensets pass, in whichever way the old
/// protocols spell them.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::{Error, Globals, Reader};
///
/// let reader = Reader::new().globals(Globals::only([("decimal", "Decimal")]));
/// assert!(reader.read(b"\x80\x02cdecimal\nDecimal\nU\x041.50\x85R.").is_ok());
/// let attack = reader.read(b"\x80\x02cos\nsystem\nU\x04true\x85R.");
/// assert!(matches!(attack, Err(Error::GlobalRefused { .. })));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Globals(Option<HashSet<(String, String)>>);

impl Globals {
    /// Any global.
    #[must_use]
    pub fn any() -> Globals {
        Globals(None)
    }

    /// Only those of the list, by module and name in Python 3. Their names in Python 2 are allowed with them.
    #[must_use]
    pub fn only<M: Into<String>, N: Into<String>>(
        list: impl IntoIterator<Item = (M, N)>,
    ) -> Globals {
        Globals(Some(list.into_iter().map(|(module, name)| (module.into(), name.into())).collect()))
    }

    /// Only what the conversation between managers and proxies itself names, and the data types of
    /// the standard library that are mere values: exceptions, dates, `Decimal`, `deque` and so on.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::pickle::{Globals, Reader};
    ///
    /// let mine = Globals::standard().and("my_program.jobs", "Job");
    /// let reader = Reader::new().globals(mine);
    /// assert!(reader.read(b"\x80\x02cmy_program.jobs\nJob\n)\x81.").is_ok());
    /// assert!(reader.read(b"\x80\x02cQueue\nEmpty\n)R.").is_ok());
    /// assert!(reader.read(b"\x80\x02c__builtin__\neval\nU\x011\x85R.").is_err());
    /// ```
    #[must_use]
    pub fn standard() -> Globals {
        let exceptions = names::exceptions().map(|name| ("builtins", name));
        Globals::only(exceptions.chain(STANDARD.iter().copied()))
    }

    /// These and one more.
    #[must_use]
    pub fn and(mut self, module: &str, name: &str) -> Globals {
        if let Some(list) = &mut self.0 {
            list.insert((module.to_owned(), name.to_owned()));
        }
        self
    }

    /// The list, by module and name in Python 3; `None` if any is allowed.
    #[must_use]
    pub fn list(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let list = self.0.as_ref()?;
        Some(list.iter().map(|(module, name)| (module.as_str(), name.as_str())))
    }

    /// Whether everything is allowed.
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn check(&self, global: &Global) -> Result<(), Error> {
        let Some(list) = &self.0 else { return Ok(()) };
        let (module, name) = global.python3();
        if list.contains(&(module.to_owned(), name.to_owned())) {
            return Ok(());
        }
        let (module, name) = (global.module.clone(), global.name.clone());
        Err(Error::GlobalRefused { module, name })
    }
}

/// Names in Python 3 of what makes plain values and has no effect besides.
const STANDARD: &[(&str, &str)] = &[
    ("_thread", "error"),
    ("builtins", "bool"),
    ("builtins", "complex"),
    ("builtins", "float"),
    ("builtins", "int"),
    ("builtins", "range"),
    ("builtins", "slice"),
    ("builtins", "str"),
    ("builtins", "tuple"),
    ("builtins", "list"),
    ("builtins", "dict"),
    ("builtins", "object"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("copyreg", "_reconstructor"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("multiprocessing.managers", "Array"),
    ("multiprocessing.managers", "ArrayProxy"),
    ("multiprocessing.managers", "AutoProxy"),
    ("multiprocessing.managers", "BarrierProxy"),
    ("multiprocessing.managers", "ConditionProxy"),
    ("multiprocessing.managers", "DictProxy"),
    ("multiprocessing.managers", "EventProxy"),
    ("multiprocessing.managers", "IteratorProxy"),
    ("multiprocessing.managers", "ListProxy"),
    ("multiprocessing.managers", "Namespace"),
    ("multiprocessing.managers", "NamespaceProxy"),
    ("multiprocessing.managers", "PoolProxy"),
    ("multiprocessing.managers", "AcquirerProxy"),
    ("multiprocessing.managers", "RebuildProxy"),
    ("multiprocessing.managers", "RemoteError"),
    ("multiprocessing.managers", "Token"),
    ("multiprocessing.managers", "Value"),
    ("multiprocessing.managers", "ValueProxy"),
    ("queue", "Empty"),
    ("queue", "Full"),
    ("queue", "ShutDown"),
    ("threading", "BrokenBarrierError"),
    ("uuid", "UUID"),
];
