//! How a function, a closure or a named task is called with its arguments as one value.

/// Something that can be called with its arguments as one value of type `A`.
///
/// Implemented for functions and closures of no parameter (called with `()`), of one (called with the value itself) and of
/// two to eight (called with a tuple), and for the named tasks of `#[fourfold::task]`. The marker `M` keeps these
/// apart; it is always inferred. There is nothing to implement by hand.
///
/// # Examples
///
/// ```
/// use fourfold::task::Call;
///
/// fn call<F: Call<A, M>, A, M>(f: F, args: A) -> F::Output {
///     f.call(args)
/// }
///
/// assert_eq!(call(|| 1, ()), 1);
/// assert_eq!(call(str::len, "one"), 3);
/// assert_eq!(call(u32::pow, (2, 3)), 8);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called with `{A}`",
    label = "does not take these arguments",
    note = "a function of several parameters takes them as one tuple, `submit(f, (a, b))`; of one parameter the value \
            itself, `submit(f, a)`; of none, `submit(f, ())`"
)]
pub trait Call<A, M>: Sized {
    /// What the call returns.
    type Output;

    /// Calls it.
    fn call(self, args: A) -> Self::Output;
}

/// A function with a name that machines agree on. Made by `#[fourfold::task]`, as a type named like the function.
///
/// # Examples
///
/// ```
/// use fourfold::task::Task;
///
/// #[fourfold::task]
/// fn double(n: u32) -> u32 {
///     n * 2
/// }
///
/// fn name_of<T: Task>(_task: T) -> &'static str {
///     T::NAME
/// }
///
/// # fn main() {
/// assert!(name_of(double {}).ends_with("::double"));
/// assert_eq!(<double as Task>::run(4), 8);
/// # }
/// ```
pub trait Task: Copy + Send + Sync + 'static {
    /// The parameters: `()`, the one parameter, or a tuple.
    type Args;
    /// What the function returns.
    type Output;
    /// The name, unique among the tasks of a program: the path of the function.
    const NAME: &'static str;

    /// Calls the function.
    fn run(args: Self::Args) -> Self::Output;
}

/// The markers that keep the kinds of [`Call`] apart.
pub mod marker {
    /// A function of no parameter.
    #[derive(Debug)]
    pub enum Nullary {}
    /// A function of one parameter.
    #[derive(Debug)]
    pub enum Unary {}
    /// A function of several parameters.
    #[derive(Debug)]
    pub enum Tuple {}
    /// A named task.
    #[derive(Debug)]
    pub enum Named {}
}

impl<F: FnOnce() -> T, T> Call<(), marker::Nullary> for F {
    type Output = T;

    fn call(self, (): ()) -> T {
        self()
    }
}

impl<F: FnOnce(A) -> T, A, T> Call<A, marker::Unary> for F {
    type Output = T;

    fn call(self, args: A) -> T {
        self(args)
    }
}

impl<K: Task> Call<K::Args, marker::Named> for K {
    type Output = K::Output;

    fn call(self, args: K::Args) -> K::Output {
        K::run(args)
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        impl<Func: FnOnce($($name),+) -> Out, $($name,)+ Out> Call<($($name,)+), marker::Tuple> for Func {
            type Output = Out;

            #[allow(non_snake_case)]
            fn call(self, ($($name,)+): ($($name,)+)) -> Out {
                self($($name),+)
            }
        }
    )+};
}

tuples! {
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E G)
    (A B C D E G H)
    (A B C D E G H I)
}
