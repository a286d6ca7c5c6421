//! Coroutines that switch to each other by name, as those of Python's greenlet do.
//!
//! Under a switch from one to another are two of corosensei: out of the one, to the *root*, which is who began with them all, and
//! from there into the other. What is handed over lies in the other's inbox meanwhile.
//!
//! A greenlet's own stack never holds what keeps that greenlet alive: so one that nobody can switch to any more is dropped, and
//! unwound, though it is suspended.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;

use corosensei::CoroutineResult;

use super::hub;
use super::stack::{Cache, Class, Stack};
use super::thread_end;
use crate::error::Result;

/// A coroutine that others switch to, and that switches to others, handing a value over each time.
///
/// Whoever switches to the first of them, a thread or a coroutine of a hub, is their *root*. A greenlet has a parent: the one
/// that made it, or the root. When its function returns, its parent goes on, with what it returned; when its function panics, its
/// parent's switch panics with that. What is switched to and has ended already hands the value on to its parent.
///
/// A clone is the same greenlet. It is dropped, and unwound if it is suspended, when nobody has it any more; two that are suspended
/// and hold each other stay for ever.
///
/// # Examples
///
/// ```
/// use fourfold::green::Greenlet;
///
/// let pong = Greenlet::new(|mut ball: u32| {
///     loop {
///         ball = Greenlet::parent().switch_to(ball + 1);
///     }
/// })?;
/// assert_eq!(pong.switch_to(1), 2);
/// assert_eq!(pong.switch_to(10), 11);
/// # Ok::<(), fourfold::Error>(())
/// ```
///
/// Two that know each other by name:
///
/// ```
/// use fourfold::green::Greenlet;
///
/// let (tick, tock) = (Greenlet::named("tick"), Greenlet::named("tock"));
/// let other = tock.clone();
/// tick.define(move |n: u32| other.switch_to(n + 1) * 10)?;
/// let other = tick.clone();
/// tock.define(move |n: u32| other.switch_to(n + 1))?;
/// // tick gets 1, tock gets 2, tick gets 3 back, and hands 30 to its parent.
/// assert_eq!(tick.switch_to(1), 30);
/// assert!(tick.is_finished() && !tock.is_finished());
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Greenlet<T> {
    node: Rc<Typed<T>>,
}

impl<T> Clone for Greenlet<T> {
    fn clone(&self) -> Self {
        Greenlet { node: self.node.clone() }
    }
}

type Raw = corosensei::Coroutine<(), (), (), Stack>;
type Yielder = corosensei::Yielder<(), ()>;

/// What a switch hands over.
enum Delivery<T> {
    Value(T),
    Panic(Box<dyn Any + Send>),
}

struct Typed<T> {
    core: Core,
    inbox: Cell<Option<Delivery<T>>>,
}

/// What does not depend on the type of the values.
struct Core {
    name: String,
    /// `None` while it runs, before it is defined, and when it has ended.
    raw: RefCell<Option<Raw>>,
    /// Its way out, once it has begun; on its own stack.
    yielder: Cell<*const Yielder>,
    phase: Cell<Phase>,
    /// `None` stands for the root.
    parent: RefCell<Option<Rc<dyn Node>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Undefined,
    Alive,
    Finished,
}

trait Node {
    fn core(&self) -> &Core;
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Rc<Self>) -> Rc<dyn Any>;
    fn throw(&self, payload: Box<dyn Any + Send>);
}

impl<T: 'static> Node for Typed<T> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Rc<Self>) -> Rc<dyn Any> {
        self
    }

    fn throw(&self, payload: Box<dyn Any + Send>) {
        self.inbox.set(Some(Delivery::Panic(payload)));
    }
}

/// A root with greenlets at work: one for each thread or coroutine of a hub that has switched to one and waits to be switched to.
struct Context {
    /// The coroutine of the hub; 0 for the thread itself.
    owner: u64,
    root: Rc<dyn Node>,
    current: Rc<dyn Node>,
    /// Who runs when the current one has come out.
    next: Option<Rc<dyn Node>>,
}

thread_local! {
    /// The latest is the one most often looked for.
    static CONTEXTS: RefCell<Vec<Context>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the context of the caller, if a root of its is at work.
fn with_context<R>(f: impl FnOnce(&mut Context) -> R) -> Option<R> {
    let owner = hub::current_id().unwrap_or(0);
    CONTEXTS.with_borrow_mut(|contexts| {
        contexts.iter_mut().rev().find(|context| context.owner == owner).map(f)
    })
}

impl<T: 'static> Greenlet<T> {
    /// A greenlet that will call `f` with what it is first given. Its parent is the greenlet that calls this, if one does.
    ///
    /// # Errors
    ///
    /// [`NotStarted`](crate::ErrorKind::NotStarted) if the system gives no memory for a stack.
    pub fn new(f: impl FnOnce(T) -> T + 'static) -> Result<Greenlet<T>> {
        let greenlet = Greenlet::named("greenlet");
        greenlet.define(f)?;
        Ok(greenlet)
    }

    /// A greenlet with a name and without a function yet, so that others can be told of it first.
    pub fn named(name: impl Into<String>) -> Greenlet<T> {
        let parent = with_context(|context| context.current.clone());
        let parent = parent.filter(|node| node.core().phase.get() == Phase::Alive);
        let core = Core {
            name: name.into(),
            raw: RefCell::new(None),
            yielder: Cell::new(ptr::null()),
            phase: Cell::new(Phase::Undefined),
            parent: RefCell::new(parent),
        };
        Greenlet { node: Rc::new(Typed { core, inbox: Cell::new(None) }) }
    }

    /// Gives it its function. Its stack has 64 KiB.
    ///
    /// # Errors
    ///
    /// As [`new`](Greenlet::new).
    ///
    /// # Panics
    ///
    /// If it has one.
    pub fn define(&self, f: impl FnOnce(T) -> T + 'static) -> Result<()> {
        let core = &self.node.core;
        assert!(core.phase.get() == Phase::Undefined, "{self:?} has a function already");
        thread_end::watch();
        let stack = Cache::default().take(Class::usual())?;
        let raw = Raw::with_stack(stack, move |yielder, ()| body(yielder, f));
        *core.raw.borrow_mut() = Some(raw);
        core.phase.set(Phase::Alive);
        Ok(())
    }

    /// Hands a value to it and lets it run; the caller goes on when somebody switches to it in turn, with what it is handed then.
    ///
    /// # Panics
    ///
    /// If it has no function yet. If the caller is a greenlet of values of another type. With what is thrown to the caller by
    /// [`throw`](Greenlet::throw), and, if the caller is its parent, with the panic of its function. In a destructor that runs
    /// because of a panic: to leave an unwinding half done would make innocent locks look poisoned.
    pub fn switch_to(&self, value: T) -> T {
        self.switch_with(Delivery::Value(value))
    }

    /// As [`switch_to`](Greenlet::switch_to), but the switch that it is suspended in panics with this payload.
    ///
    /// # Panics
    ///
    /// As [`switch_to`](Greenlet::switch_to). One that has not begun ends with the panic at once.
    pub fn throw<E: Any + Send>(&self, payload: E) -> T {
        self.switch_with(Delivery::Panic(Box::new(payload)))
    }

    fn switch_with(&self, delivery: Delivery<T>) -> T {
        assert!(!std::thread::panicking(), "a greenlet cannot be switched to while it unwinds");
        assert!(self.node.core.phase.get() != Phase::Undefined, "{self:?} has no function yet");
        let mut delivery = Some(delivery);
        let way_out = with_context(|context| {
            let me = &context.current;
            typed::<T>(&**me);
            let target = target(self.node.clone(), &context.root);
            assert!(
                target.core().raw.borrow().is_some()
                    || Rc::ptr_eq(&target, me)
                    || Rc::ptr_eq(&target, &context.root),
                "{self:?} runs elsewhere"
            );
            typed::<T>(&*target).inbox.set(delivery.take());
            let yielder = me.core().yielder.get();
            context.next = Some(target);
            yielder
        });
        match way_out {
            Some(yielder) => {
                // SAFETY: the current greenlet of this thread or coroutine is the one that this code runs in; it has begun, so its
                // yielder is set, and lies on its stack, in the frame below all of its own.
                unsafe { &*yielder }.suspend(());
                let received = with_context(|context| typed::<T>(&*context.current).inbox.take());
                open(received.flatten())
            }
            None => self.enter(delivery),
        }
    }

    /// Switches from the root, and is the root until somebody switches back.
    fn enter(&self, delivery: Option<Delivery<T>>) -> T {
        let core = Core {
            name: "root".into(),
            raw: RefCell::new(None),
            yielder: Cell::new(ptr::null()),
            phase: Cell::new(Phase::Alive),
            parent: RefCell::new(None),
        };
        let own = Rc::new(Typed { core, inbox: Cell::new(None) });
        let root: Rc<dyn Node> = own.clone();
        let first = target(self.node.clone(), &root);
        typed::<T>(&*first).inbox.set(delivery);
        assert!(
            first.core().raw.borrow().is_some() || Rc::ptr_eq(&first, &root),
            "{self:?} runs elsewhere"
        );
        let owner = hub::current_id().unwrap_or(0);
        let context =
            Context { owner, root: root.clone(), current: root.clone(), next: Some(first) };
        CONTEXTS.with_borrow_mut(|contexts| contexts.push(context));
        let at_work = AtWork { owner, root };
        at_work.switch_about();
        drop(at_work);
        own.core.phase.set(Phase::Finished);
        open(own.inbox.take())
    }

    /// The greenlet that runs. `None` outside of any.
    ///
    /// # Panics
    ///
    /// If it is one of values of another type.
    pub fn current() -> Option<Greenlet<T>> {
        with_context(|context| context.current.clone())
            .map(|node| Greenlet { node: own::<T>(node) })
    }

    /// The parent of the greenlet that runs: its root, if it has no other that has not ended.
    ///
    /// # Panics
    ///
    /// Outside of any greenlet. If the parent is one of values of another type.
    pub fn parent() -> Greenlet<T> {
        let parent = with_context(|context| parent_of(&*context.current, &context.root));
        let node = parent.expect("`Greenlet::parent` is called in a greenlet");
        Greenlet { node: own::<T>(node) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.node.core.name
    }

    /// Whether its function has ended.
    pub fn is_finished(&self) -> bool {
        self.node.core.phase.get() == Phase::Finished
    }
}

/// What a greenlet does on its stack, all its life.
fn body<T: 'static>(yielder: &Yielder, f: impl FnOnce(T) -> T) {
    let first = with_context(|context| {
        context.current.core().yielder.set(yielder);
        typed::<T>(&*context.current).inbox.take()
    });
    let value = f(open(first.flatten()));
    let parent = with_context(|context| parent_of(&*context.current, &context.root));
    let parent = parent.expect("a greenlet runs under its root");
    // A parent of another type: this panic is thrown to it.
    typed::<T>(&*parent).inbox.set(Some(Delivery::Value(value)));
}

/// Runs greenlets for a root, one after the other.
struct AtWork {
    owner: u64,
    root: Rc<dyn Node>,
}

impl AtWork {
    /// Until somebody switches to the root.
    fn switch_about(&self) {
        loop {
            let node = with_context(|context| {
                let next = context.next.take().expect("who comes out has named the next");
                // What is dropped is dropped outside.
                (std::mem::replace(&mut context.current, next.clone()), next)
            });
            let (before, node) = node.expect("there while its root is at work");
            drop(before);
            if Rc::ptr_eq(&node, &self.root) {
                return;
            }
            let core = node.core();
            let Some(mut raw) = core.raw.borrow_mut().take() else {
                unreachable!("looked at before it was switched to")
            };
            // Unwind safe: the panic goes to the parent.
            match catch_unwind(AssertUnwindSafe(|| raw.resume(()))) {
                Ok(CoroutineResult::Yield(())) => *core.raw.borrow_mut() = Some(raw),
                Ok(CoroutineResult::Return(())) => self.finish(&*node, raw, None),
                Err(payload) => self.finish(&*node, raw, Some(payload)),
            }
        }
    }

    fn finish(&self, node: &dyn Node, raw: Raw, panic: Option<Box<dyn Any + Send>>) {
        raw.into_stack().free();
        node.core().phase.set(Phase::Finished);
        let parent = parent_of(node, &self.root);
        if let Some(payload) = panic {
            parent.throw(payload);
        }
        with_context(|context| context.next = Some(parent));
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let context = CONTEXTS.with_borrow_mut(|contexts| {
            let index = contexts.iter().rposition(|context| context.owner == self.owner);
            index.map(|index| contexts.remove(index))
        });
        drop(context);
    }
}

/// It, or if it has ended, the one that goes on in its place.
fn target<T: 'static>(node: Rc<Typed<T>>, root: &Rc<dyn Node>) -> Rc<dyn Node> {
    match node.core.phase.get() {
        Phase::Finished => parent_of(&*node, root),
        Phase::Alive | Phase::Undefined => node,
    }
}

/// The nearest ancestor that has not ended.
fn parent_of(node: &dyn Node, root: &Rc<dyn Node>) -> Rc<dyn Node> {
    let mut parent = node.core().parent.borrow().clone();
    while let Some(node) = parent {
        if node.core().phase.get() == Phase::Alive {
            return node;
        }
        parent = node.core().parent.borrow().clone();
    }
    root.clone()
}

fn typed<T: 'static>(node: &dyn Node) -> &Typed<T> {
    let typed = node.as_any().downcast_ref();
    typed.unwrap_or_else(|| {
        panic!(
            "greenlet '{}' takes values of another type than {}",
            node.core().name,
            std::any::type_name::<T>()
        )
    })
}

fn own<T: 'static>(node: Rc<dyn Node>) -> Rc<Typed<T>> {
    typed::<T>(&*node);
    node.into_any().downcast().unwrap_or_else(|_| unreachable!("looked at just now"))
}

fn open<T>(delivery: Option<Delivery<T>>) -> T {
    match delivery.expect("who switches hands something over") {
        Delivery::Value(value) => value,
        Delivery::Panic(payload) => resume_unwind(payload),
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(mut raw) = self.raw.get_mut().take() else { return };
        if thread_end::is_here() {
            return std::mem::forget(raw);
        }
        raw.force_unwind();
        raw.into_stack().free();
    }
}

impl<T> fmt::Debug for Greenlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "greenlet '{}'", self.node.core.name)
    }
}
