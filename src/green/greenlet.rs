//! Coroutines that switch to each other by name, as those of Python's greenlet do.
//!
//! Under a switch from one to another are two of corosensei: out of the one, to the *root*, which is who began with them all, and
//! from there into the other. What is handed over lies in the other's inbox meanwhile.
//!
//! # Who may touch what when
//!
//! A root that is at work has a [`Context`] on its stack, which the thread knows by `CONTEXT`; a hub puts it by while another of its
//! coroutines runs ([`exchange`]). Who runs is alive, though the context counts no reference: the last one that is dropped of a greenlet
//! that runs is left to its root ([`release`]), which drops it when the greenlet comes out. `raw` of a greenlet is touched by the root that resumes it, while it runs; by `define`, before that; and
//! by its drop, when nobody has it. `phase` keeps these apart: only one that is `Suspended` is switched to.
//!
//! A greenlet's own stack never holds what keeps that greenlet alive: so one that nobody can switch to any more is dropped, and
//! unwound, though it is suspended.
#![allow(unsafe_code)]

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use corosensei::CoroutineResult;

use super::stack::{Class, Stack};
use super::thread_end;
use crate::error::Result;
use crate::task::aside::{self, Aside};

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
    node: ManuallyDrop<Rc<Typed<T>>>,
}

impl<T> Clone for Greenlet<T> {
    fn clone(&self) -> Self {
        Greenlet { node: self.node.clone() }
    }
}

impl<T> Drop for Greenlet<T> {
    fn drop(&mut self) {
        // SAFETY: the field is not used again.
        release(unsafe { ManuallyDrop::take(&mut self.node) });
    }
}

type Raw = corosensei::Coroutine<(), (), (), Stack>;
type Yielder = corosensei::Yielder<(), ()>;

/// What a switch hands over.
enum Delivery<T> {
    Value(T),
    Panic(Box<dyn Any + Send>),
}

/// Where it lies meanwhile.
struct Inbox<T> {
    /// Whether `value` is there.
    full: Cell<bool>,
    value: UnsafeCell<MaybeUninit<Delivery<T>>>,
}

impl<T> Inbox<T> {
    fn new() -> Inbox<T> {
        Inbox { full: Cell::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// It must be empty: only one switch at a time is under way, and what it hands over is taken at its end.
    #[inline(always)]
    fn put(&self, delivery: Delivery<T>) {
        assert!(!self.full.replace(true), "one delivery at a time");
        // SAFETY: nobody refers to the place but in this call, on one thread; it is empty.
        unsafe { (*self.value.get()).write(delivery) };
    }

    #[inline(always)]
    fn take(&self) -> Delivery<T> {
        assert!(self.full.replace(false), "who switches hands something over");
        // SAFETY: as above; it was full, and counts as empty from now on.
        unsafe { (*self.value.get()).assume_init_read() }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        if self.full.get() {
            // SAFETY: it is full.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

/// A greenlet or a root. The core is first, so that a pointer to it is one to all of it.
#[repr(C)]
struct Typed<T> {
    core: Core,
    inbox: Inbox<T>,
}

/// What does not depend on the type of the values.
struct Core {
    /// Of the values.
    of: TypeId,
    /// Changes the number of references to the `Typed` that this is the core of.
    count: unsafe fn(NonNull<Core>, Change),
    /// Puts a panic into its inbox.
    throw: fn(&Core, Box<dyn Any + Send>),
    name: String,
    raw: UnsafeCell<Option<Raw>>,
    /// What it was in the middle of writing or reading, while it does not run. Used as `raw` is.
    aside: UnsafeCell<Aside>,
    /// Its way out, once it has begun; on its own stack.
    yielder: Cell<*const Yielder>,
    phase: Cell<Phase>,
    /// Whether its root has the last reference, since nobody else has one any more.
    orphaned: Cell<bool>,
    /// `None` stands for the root.
    parent: RefCell<Option<Node>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Undefined,
    Suspended,
    Running,
    /// A root while it is at work: it waits to be switched to, as one that is suspended.
    Root,
    Finished,
}

/// A reference to a greenlet or a root, whatever its values are.
struct Node(NonNull<Core>);

impl Node {
    /// One more reference.
    fn to(core: &Core) -> Node {
        // SAFETY: a core is part of a `Typed` of the type that `count` is of, which is alive.
        unsafe { (core.count)(NonNull::from(core), Change::Add) };
        Node(NonNull::from(core))
    }

    /// The reference that `release` has left.
    ///
    /// # Safety
    ///
    /// It has left one, and this is called once for it.
    unsafe fn from_left(core: &Core) -> Node {
        Node(NonNull::from(core))
    }

    fn core(&self) -> &Core {
        // SAFETY: a `Node` is a reference, so its value is alive.
        unsafe { self.0.as_ref() }
    }

    fn is(&self, other: &Core) -> bool {
        ptr::eq(self.0.as_ptr(), other)
    }
}

impl Clone for Node {
    fn clone(&self) -> Node {
        Node::to(self.core())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: this reference, which is of no more use.
        unsafe { (self.core().count)(self.0, Change::Take) };
    }
}

enum Change {
    Add,
    /// If it was the last one of a greenlet that runs, its root takes it over.
    Take,
}

/// Changes the number of references.
///
/// # Safety
///
/// The pointer is that of the core of a `Typed<T>` in an `Rc`, which is alive; with `Take` the caller gives a reference up.
unsafe fn count<T>(core: NonNull<Core>, change: Change) {
    let typed = core.cast::<Typed<T>>().as_ptr().cast_const();
    // SAFETY: as the caller promises: the value lies in an `Rc`.
    unsafe {
        match change {
            Change::Add => Rc::increment_strong_count(typed),
            Change::Take => release(Rc::from_raw(typed)),
        }
    }
}

fn release<T>(node: Rc<Typed<T>>) {
    if Rc::strong_count(&node) == 1 && node.core.phase.get() == Phase::Running {
        // It is in the middle of its own stack: dropped when it comes out.
        node.core.orphaned.set(true);
        std::mem::forget(node);
    }
}

impl Core {
    #[inline(always)]
    fn typed<T: 'static>(&self) -> &Typed<T> {
        if self.of != TypeId::of::<T>() {
            self.refuse(std::any::type_name::<T>());
        }
        // SAFETY: a core is the first field of a `Typed` of the type that `of` names, in memory laid out as C does.
        unsafe { &*ptr::from_ref(self).cast::<Typed<T>>() }
    }
}

impl Core {
    #[cold]
    fn refuse(&self, type_name: &str) -> ! {
        panic!("greenlet '{}' takes values of another type than {type_name}", self.name)
    }
}

impl<T: 'static> Typed<T> {
    fn new(name: String, phase: Phase, parent: Option<Node>) -> Rc<Typed<T>> {
        let core = Core {
            of: TypeId::of::<T>(),
            count: count::<T>,
            throw: |core, payload| core.typed::<T>().inbox.put(Delivery::Panic(payload)),
            name,
            raw: UnsafeCell::new(None),
            aside: UnsafeCell::default(),
            yielder: Cell::new(ptr::null()),
            phase: Cell::new(phase),
            orphaned: Cell::new(false),
            parent: RefCell::new(parent),
        };
        Rc::new(Typed { core, inbox: Inbox::new() })
    }
}

/// A root at work, on its stack.
pub(super) struct Context {
    root: Node,
    /// Who runs. Alive, since what runs is not freed: see `Node::drop`.
    current: Cell<*const Core>,
    /// Who runs when that one has come out: alive, since nothing happens in between.
    next: Cell<*const Core>,
}

impl Context {
    #[inline]
    fn current(&self) -> &Core {
        // SAFETY: alive, as said there; never null, since it is the root at first.
        unsafe { &*self.current.get() }
    }
}

thread_local! {
    /// That of the innermost root of this thread, or of the running coroutine of its hub, that is at work.
    static CONTEXT: Cell<*const Context> = const { Cell::new(ptr::null()) };
}

/// Puts the context of one coroutine of a hub by, and that of another in its place.
#[inline]
pub(super) fn exchange(context: *const Context) -> *const Context {
    CONTEXT.replace(context)
}

/// The context of the caller, if a root of its is at work. The reference must be gone when the caller comes out.
#[inline(always)]
fn context<'a>() -> Option<&'a Context> {
    // SAFETY: null, or set by `AtWork::new` to a context that its drop, which resets this, outlives. Whoever sees it runs in a greenlet
    // above that root, so the root's frame is there.
    unsafe { CONTEXT.get().as_ref() }
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
        let parent = context().map(|context| Node::to(context.current()));
        Greenlet { node: ManuallyDrop::new(Typed::new(name.into(), Phase::Undefined, parent)) }
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
        let stack = Stack::take(Class::usual())?;
        let raw = Raw::with_stack(stack, move |yielder, ()| body(yielder, f));
        // SAFETY: nobody else touches it before the phase is another.
        unsafe { *core.raw.get() = Some(raw) };
        core.phase.set(Phase::Suspended);
        Ok(())
    }

    /// Hands a value to it and lets it run; the caller goes on when somebody switches to it in turn, with what it is handed then.
    ///
    /// # Panics
    ///
    /// If it has no function yet. If the caller is a greenlet of values of another type. With what is thrown to the caller by
    /// [`throw`](Greenlet::throw), and, if the caller is its parent, with the panic of its function. In a destructor that runs
    /// because of a panic: to leave an unwinding half done would make innocent locks look poisoned.
    // Inlined, so that no return stands between the switch and the caller: the processor predicts where a return goes by the calls
    // before it, which were another stack's.
    #[inline(always)]
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

    #[inline(always)]
    fn switch_with(&self, delivery: Delivery<T>) -> T {
        if std::thread::panicking() {
            refuse_unwinding();
        }
        let Some(context) = context() else { return self.enter(delivery) };
        let me = context.current();
        let mine = ptr::from_ref(me.typed::<T>());
        let core = &self.node.core;
        match core.phase.get() {
            Phase::Suspended => {
                self.node.inbox.put(delivery);
                context.next.set(core);
            }
            Phase::Root if context.root.is(core) => {
                self.node.inbox.put(delivery);
                context.next.set(core);
            }
            _ => match self.deliver_elsewhere(context, delivery) {
                Ok(()) => {}
                Err(own) => return open(own),
            },
        }
        // SAFETY: the current greenlet is the one that this code runs in: it has begun, so its yielder is set, and lies on its stack,
        // in the frame below all of its own.
        unsafe { &*me.yielder.get() }.suspend(());
        // SAFETY: the current greenlet again, so it is alive.
        open(unsafe { &*mine }.inbox.take())
    }

    /// The delivery goes to who takes its place, or comes back, if that is the caller.
    #[cold]
    fn deliver_elsewhere(
        &self,
        context: &Context,
        delivery: Delivery<T>,
    ) -> std::result::Result<(), Delivery<T>> {
        let me = context.current();
        let core = &self.node.core;
        assert!(core.phase.get() != Phase::Undefined, "{self:?} has no function yet");
        if ptr::eq(core, me) {
            return Err(delivery);
        }
        assert!(core.phase.get() == Phase::Finished, "{self:?} runs elsewhere");
        let target = parent_of(core, &context.root);
        if target.is(me) {
            return Err(delivery);
        }
        target.core().typed::<T>().inbox.put(delivery);
        context.next.set(target.0.as_ptr());
        Ok(())
    }

    /// Switches from the root, and is the root until somebody switches back.
    #[cold]
    fn enter(&self, delivery: Delivery<T>) -> T {
        let core = &self.node.core;
        assert!(core.phase.get() != Phase::Undefined, "{self:?} has no function yet");
        let own = Typed::<T>::new("root".into(), Phase::Root, None);
        let root = Node::to(&own.core);
        let first = match core.phase.get() {
            Phase::Finished => parent_of(core, &root),
            _ => Node::to(core),
        };
        if first.is(&own.core) {
            return open(delivery);
        }
        assert!(first.core().phase.get() == Phase::Suspended, "{self:?} runs elsewhere");
        first.core().typed::<T>().inbox.put(delivery);
        let context =
            Context { root, current: Cell::new(&own.core), next: Cell::new(first.core()) };
        let at_work = AtWork::new(&context);
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
        context().map(|context| Greenlet { node: own::<T>(context.current()) })
    }

    /// The parent of the greenlet that runs: its root, if it has no other that has not ended.
    ///
    /// # Panics
    ///
    /// Outside of any greenlet. If the parent is one of values of another type.
    pub fn parent() -> Greenlet<T> {
        let context = context().expect("`Greenlet::parent` is called in a greenlet");
        let parent = parent_of(context.current(), &context.root);
        Greenlet { node: own::<T>(parent.core()) }
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
    let first = {
        let me = context().expect("a greenlet runs under its root").current();
        me.yielder.set(yielder);
        me.typed::<T>().inbox.take()
    };
    let value = f(open(first));
    // There is none where it is being dropped, has caught what unwinds it, and returned.
    let Some(context) = context() else { return };
    let parent = parent_of(context.current(), &context.root);
    // A parent of another type: this panic is thrown to it.
    parent.core().typed::<T>().inbox.put(Delivery::Value(value));
}

/// Runs greenlets for a root, one after the other.
struct AtWork<'a> {
    context: &'a Context,
    outer: *const Context,
}

impl<'a> AtWork<'a> {
    fn new(context: &'a Context) -> AtWork<'a> {
        AtWork { context, outer: CONTEXT.replace(context) }
    }

    /// Until somebody switches to the root.
    fn switch_about(&self) {
        // Unwind safe: the panic goes to the parent of the greenlet that it came out of.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.switch_until_panic())) {
            self.finish(Some(payload));
        }
    }

    fn switch_until_panic(&self) {
        loop {
            let next = self.context.next.get();
            // SAFETY: alive, as said at `Context::next`.
            let core = unsafe { &*next };
            if self.context.root.is(core) {
                return;
            }
            self.context.current.set(next);
            core.phase.set(Phase::Running);
            // SAFETY: it was suspended, and runs from now on: so only this frame touches its `raw`. It is there: it is taken when the
            // greenlet ends.
            let raw = unsafe { &mut *core.raw.get() }.as_mut().expect("there until the end");
            // SAFETY: as above.
            let aside = unsafe { &mut *core.aside.get() };
            match aside::apart(aside, || raw.resume(())) {
                CoroutineResult::Yield(()) => {
                    core.phase.set(Phase::Suspended);
                    if core.orphaned.get() {
                        self.adopt(core);
                    }
                }
                CoroutineResult::Return(()) => self.finish(None),
            }
        }
    }

    /// Gives up the last reference to one that has come out. Not before the next one has a reference of ours: what is dropped may have
    /// the only other.
    #[cold]
    fn adopt(&self, core: &Core) {
        core.orphaned.set(false);
        // SAFETY: alive, as said at `Context::next`.
        let next = Node::to(unsafe { &*self.context.next.get() });
        // SAFETY: the reference that `release` has left.
        drop(unsafe { Node::from_left(core) });
        // It is about to run. If this is the last reference, it is left to this root in turn.
        if !self.context.root.is(next.core()) {
            next.core().phase.set(Phase::Running);
        }
        drop(next);
    }

    /// The current one has ended.
    #[cold]
    fn finish(&self, panic: Option<Box<dyn Any + Send>>) {
        let core = self.context.current();
        // SAFETY: it runs no more, and nobody switches to one that has ended.
        let raw = unsafe { &mut *core.raw.get() }.take();
        core.phase.set(Phase::Finished);
        if let Some(raw) = raw {
            raw.into_stack().free();
        }
        let parent = parent_of(core, &self.context.root);
        if let Some(payload) = panic {
            (parent.core().throw)(parent.core(), payload);
        }
        self.context.next.set(parent.core());
        if core.orphaned.replace(false) {
            // SAFETY: the reference that `release` has left.
            drop(unsafe { Node::from_left(core) });
        }
        if !parent.is(self.context.root.core()) {
            // As in `adopt`: the child may have had the only other reference.
            parent.core().phase.set(Phase::Running);
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        CONTEXT.set(self.outer);
    }
}

/// The nearest ancestor that can be switched to.
fn parent_of(core: &Core, root: &Node) -> Node {
    let mut parent = core.parent.borrow().clone();
    while let Some(node) = parent {
        // One that runs does so under another root.
        if node.core().phase.get() == Phase::Suspended {
            return node;
        }
        parent = node.core().parent.borrow().clone();
    }
    root.clone()
}

/// One more reference to what this is the core of.
fn own<T: 'static>(core: &Core) -> ManuallyDrop<Rc<Typed<T>>> {
    let typed = ptr::from_ref(core.typed::<T>());
    // SAFETY: all of them are in an `Rc`, and are alive while there is a reference; one more is made for the one that is given out.
    unsafe {
        Rc::increment_strong_count(typed);
        ManuallyDrop::new(Rc::from_raw(typed))
    }
}

#[cold]
fn refuse_unwinding() -> ! {
    panic!("a greenlet cannot be switched to while it unwinds")
}

#[inline(always)]
fn open<T>(delivery: Delivery<T>) -> T {
    match delivery {
        Delivery::Value(value) => value,
        Delivery::Panic(payload) => resume_unwind(payload),
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(mut raw) = self.raw.get_mut().take() else { return };
        if raw.started() && thread_end::is_here() {
            return std::mem::forget(raw);
        }
        // It does not run in the name of who drops it: what it calls while it is unwound has no greenlet around it.
        let _outer = PutBack(CONTEXT.replace(ptr::null()));
        aside::apart(self.aside.get_mut(), || raw.force_unwind());
        raw.into_stack().free();
    }
}

/// Puts a context back.
struct PutBack(*const Context);

impl Drop for PutBack {
    fn drop(&mut self) {
        CONTEXT.set(self.0);
    }
}

impl<T> fmt::Debug for Greenlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "greenlet '{}'", self.node.core.name)
    }
}
