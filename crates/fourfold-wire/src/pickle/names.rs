//! What the standard library's modules and their contents are called in either Python.
//!
//! Python 3 translates by the same table when it reads or writes protocols 0 to 2.

use std::collections::HashMap;
use std::sync::LazyLock;

type Name = (&'static str, &'static str);

/// Modules: the name in Python 2, the name in Python 3.
const MODULES: &[Name] = &[
    ("BaseHTTPServer", "http.server"),
    ("ConfigParser", "configparser"),
    ("Cookie", "http.cookies"),
    ("Dialog", "tkinter.dialog"),
    ("HTMLParser", "html.parser"),
    ("Queue", "queue"),
    ("ScrolledText", "tkinter.scrolledtext"),
    ("SimpleXMLRPCServer", "xmlrpc.server"),
    ("SocketServer", "socketserver"),
    ("Tix", "tkinter.tix"),
    ("Tkconstants", "tkinter.constants"),
    ("Tkdnd", "tkinter.dnd"),
    ("Tkinter", "tkinter"),
    ("__builtin__", "builtins"),
    ("_abcoll", "collections.abc"),
    ("_winreg", "winreg"),
    ("anydbm", "dbm"),
    ("commands", "subprocess"),
    ("cookielib", "http.cookiejar"),
    ("copy_reg", "copyreg"),
    ("dbhash", "dbm.bsd"),
    ("dbm", "dbm.ndbm"),
    ("dumbdbm", "dbm.dumb"),
    ("dummy_thread", "_dummy_thread"),
    ("gdbm", "dbm.gnu"),
    ("htmlentitydefs", "html.entities"),
    ("httplib", "http.client"),
    ("markupbase", "_markupbase"),
    ("repr", "reprlib"),
    ("robotparser", "urllib.robotparser"),
    ("test.test_support", "test.support"),
    ("thread", "_thread"),
    ("tkColorChooser", "tkinter.colorchooser"),
    ("tkCommonDialog", "tkinter.commondialog"),
    ("tkFileDialog", "tkinter.filedialog"),
    ("tkFont", "tkinter.font"),
    ("tkMessageBox", "tkinter.messagebox"),
    ("tkSimpleDialog", "tkinter.simpledialog"),
    ("ttk", "tkinter.ttk"),
    ("urllib2", "urllib.request"),
    ("urlparse", "urllib.parse"),
    ("xmlrpclib", "xmlrpc.client"),
];

/// Modules of Python 2 whose contents went into a module of Python 3 with another old name.
const MODULES_TO_3: &[Name] = &[
    ("CGIHTTPServer", "http.server"),
    ("DocXMLRPCServer", "xmlrpc.server"),
    ("FileDialog", "tkinter.filedialog"),
    ("SimpleDialog", "tkinter.simpledialog"),
    ("SimpleHTTPServer", "http.server"),
    ("StringIO", "io"),
    ("UserDict", "collections"),
    ("UserList", "collections"),
    ("UserString", "collections"),
    ("_elementtree", "xml.etree.ElementTree"),
    ("cPickle", "pickle"),
    ("cStringIO", "io"),
    ("whichdb", "dbm"),
];

/// Modules of Python 2 and the ones of Python 3 that are written as these, but not read from them.
const MODULES_TO_2: &[Name] = &[
    ("bz2", "_bz2"),
    ("dbm", "_dbm"),
    ("functools", "_functools"),
    ("gdbm", "_gdbm"),
    ("pickle", "_pickle"),
];

/// Exceptions: in `exceptions` of Python 2, in `builtins` of Python 3.
const EXCEPTIONS: &[&str] = &[
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "BufferError",
    "BytesWarning",
    "DeprecationWarning",
    "EOFError",
    "EnvironmentError",
    "Exception",
    "FloatingPointError",
    "FutureWarning",
    "GeneratorExit",
    "IOError",
    "ImportError",
    "ImportWarning",
    "IndentationError",
    "IndexError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "MemoryError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PendingDeprecationWarning",
    "ReferenceError",
    "RuntimeError",
    "RuntimeWarning",
    "StopIteration",
    "SyntaxError",
    "SyntaxWarning",
    "SystemError",
    "SystemExit",
    "TabError",
    "TypeError",
    "UnboundLocalError",
    "UnicodeDecodeError",
    "UnicodeEncodeError",
    "UnicodeError",
    "UnicodeTranslateError",
    "UnicodeWarning",
    "UserWarning",
    "ValueError",
    "Warning",
    "ZeroDivisionError",
];

/// Exceptions of Python 3 that are `OSError` to Python 2.
const OS_ERRORS: &[&str] = &[
    "BrokenPipeError",
    "ChildProcessError",
    "ConnectionAbortedError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "FileExistsError",
    "FileNotFoundError",
    "InterruptedError",
    "IsADirectoryError",
    "NotADirectoryError",
    "PermissionError",
    "ProcessLookupError",
    "TimeoutError",
];

/// Exceptions that Python 2 has nothing for.
const NEW_EXCEPTIONS: &[&str] = &[
    "BaseExceptionGroup",
    "ExceptionGroup",
    "RecursionError",
    "ResourceWarning",
    "StopAsyncIteration",
];

/// Names that moved: in Python 2, in Python 3.
const NAMES: &[(Name, Name)] = &[
    (("UserDict", "IterableUserDict"), ("collections", "UserDict")),
    (("UserList", "UserList"), ("collections", "UserList")),
    (("UserString", "UserString"), ("collections", "UserString")),
    (("__builtin__", "intern"), ("sys", "intern")),
    (("__builtin__", "long"), ("builtins", "int")),
    (("__builtin__", "reduce"), ("functools", "reduce")),
    (("__builtin__", "unichr"), ("builtins", "chr")),
    (("__builtin__", "unicode"), ("builtins", "str")),
    (("__builtin__", "xrange"), ("builtins", "range")),
    (("_multiprocessing", "Connection"), ("multiprocessing.connection", "Connection")),
    (("_socket", "fromfd"), ("socket", "fromfd")),
    (("itertools", "ifilter"), ("builtins", "filter")),
    (("itertools", "ifilterfalse"), ("itertools", "filterfalse")),
    (("itertools", "imap"), ("builtins", "map")),
    (("itertools", "izip"), ("builtins", "zip")),
    (("itertools", "izip_longest"), ("itertools", "zip_longest")),
    (
        ("multiprocessing", "AuthenticationError"),
        ("multiprocessing.context", "AuthenticationError"),
    ),
    (("multiprocessing", "BufferTooShort"), ("multiprocessing.context", "BufferTooShort")),
    (("multiprocessing", "ProcessError"), ("multiprocessing.context", "ProcessError")),
    (("multiprocessing", "TimeoutError"), ("multiprocessing.context", "TimeoutError")),
    (("multiprocessing.forking", "Popen"), ("multiprocessing.popen_fork", "Popen")),
    (("multiprocessing.process", "Process"), ("multiprocessing.context", "Process")),
    (("urllib", "ContentTooShortError"), ("urllib.error", "ContentTooShortError")),
    (("urllib", "getproxies"), ("urllib.request", "getproxies")),
    (("urllib", "pathname2url"), ("urllib.request", "pathname2url")),
    (("urllib", "quote"), ("urllib.parse", "quote")),
    (("urllib", "quote_plus"), ("urllib.parse", "quote_plus")),
    (("urllib", "unquote"), ("urllib.parse", "unquote")),
    (("urllib", "unquote_plus"), ("urllib.parse", "unquote_plus")),
    (("urllib", "url2pathname"), ("urllib.request", "url2pathname")),
    (("urllib", "urlcleanup"), ("urllib.request", "urlcleanup")),
    (("urllib", "urlencode"), ("urllib.parse", "urlencode")),
    (("urllib", "urlopen"), ("urllib.request", "urlopen")),
    (("urllib", "urlretrieve"), ("urllib.request", "urlretrieve")),
    (("urllib2", "HTTPError"), ("urllib.error", "HTTPError")),
    (("urllib2", "URLError"), ("urllib.error", "URLError")),
    (("whichdb", "whichdb"), ("dbm", "whichdb")),
];

/// Names of Python 2 that became one which has another old name.
const NAMES_TO_3: &[(Name, Name)] = &[
    (("UserDict", "UserDict"), ("collections", "UserDict")),
    (("__builtin__", "basestring"), ("builtins", "str")),
    (("exceptions", "StandardError"), ("builtins", "Exception")),
    (("socket", "_socketobject"), ("socket", "SocketType")),
];

/// Names of Python 2 and the ones of Python 3 that are written as these, but not read from them.
const NAMES_TO_2: &[(Name, Name)] = &[
    (("CGIHTTPServer", "CGIHTTPRequestHandler"), ("http.server", "CGIHTTPRequestHandler")),
    (
        ("DocXMLRPCServer", "DocCGIXMLRPCRequestHandler"),
        ("xmlrpc.server", "DocCGIXMLRPCRequestHandler"),
    ),
    (("DocXMLRPCServer", "DocXMLRPCRequestHandler"), ("xmlrpc.server", "DocXMLRPCRequestHandler")),
    (("DocXMLRPCServer", "DocXMLRPCServer"), ("xmlrpc.server", "DocXMLRPCServer")),
    (("DocXMLRPCServer", "ServerHTMLDoc"), ("xmlrpc.server", "ServerHTMLDoc")),
    (("DocXMLRPCServer", "XMLRPCDocGenerator"), ("xmlrpc.server", "XMLRPCDocGenerator")),
    (("FileDialog", "FileDialog"), ("tkinter.filedialog", "FileDialog")),
    (("FileDialog", "LoadFileDialog"), ("tkinter.filedialog", "LoadFileDialog")),
    (("FileDialog", "SaveFileDialog"), ("tkinter.filedialog", "SaveFileDialog")),
    (("SimpleDialog", "SimpleDialog"), ("tkinter.simpledialog", "SimpleDialog")),
    (("SimpleHTTPServer", "SimpleHTTPRequestHandler"), ("http.server", "SimpleHTTPRequestHandler")),
    (("__builtin__", "reduce"), ("_functools", "reduce")),
    (("exceptions", "ImportError"), ("builtins", "ModuleNotFoundError")),
    (("socket", "_socketobject"), ("_socket", "socket")),
];

struct Tables {
    modules: HashMap<&'static str, &'static str>,
    names: HashMap<Name, Name>,
}

impl Tables {
    fn name(&self, module: &str, name: &str) -> Option<(&'static str, Option<&'static str>)> {
        // A name that lives shorter than the table's can still be compared with those in it.
        fn find<'a>(
            names: &'a HashMap<(&'a str, &'a str), Name>,
            module: &'a str,
            name: &'a str,
        ) -> Option<&'a Name> {
            names.get(&(module, name))
        }
        match find(&self.names, module, name) {
            Some(&(module, name)) => Some((module, Some(name))),
            None => self.modules.get(module).map(|&module| (module, None)),
        }
    }
}

static TO_3: LazyLock<Tables> = LazyLock::new(|| Tables {
    modules: MODULES.iter().chain(MODULES_TO_3).copied().collect(),
    names: (EXCEPTIONS.iter().map(|&name| (("exceptions", name), ("builtins", name))))
        .chain(NAMES.iter().chain(NAMES_TO_3).copied())
        .collect(),
});

static TO_2: LazyLock<Tables> = LazyLock::new(|| Tables {
    modules: (MODULES.iter().chain(MODULES_TO_2)).map(|&(old, new)| (new, old)).collect(),
    names: (EXCEPTIONS.iter().map(|&name| (("builtins", name), ("exceptions", name))))
        .chain(OS_ERRORS.iter().map(|&name| (("builtins", name), ("exceptions", "OSError"))))
        .chain((NAMES.iter().chain(NAMES_TO_2)).map(|&(old, new)| (new, old)))
        .collect(),
});

/// What Python 3 calls a name of Python 2.
pub(crate) fn to_python3<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    let (new_module, new_name) = TO_3.name(module, name).unwrap_or((module, None));
    canonical(new_module, new_name.unwrap_or(name))
}

/// What Python 2 calls a name of Python 3.
pub(crate) fn to_python2<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    let (module, name) = canonical(module, name);
    let (old_module, old_name) = TO_2.name(module, name).unwrap_or((module, None));
    (old_module, old_name.unwrap_or(name))
}

/// The exceptions that are built in, by their names in Python 3.
pub(crate) fn exceptions() -> impl Iterator<Item = &'static str> {
    EXCEPTIONS.iter().chain(OS_ERRORS).copied().chain(NEW_EXCEPTIONS.iter().copied())
}

/// The name that every Python 3 knows, for what some have in a module written in C.
pub(crate) fn canonical<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    match (module, name) {
        ("_queue", "Empty") => ("queue", name),
        _ => (module, name),
    }
}
