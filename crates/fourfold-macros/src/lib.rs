//! The attributes `#[fourfold::main]` and `#[fourfold::task]`. Use them through the `fourfold` crate.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, parse_macro_input};

/// Marks the `main` function of a program that runs functions in other processes.
///
/// A worker process starts here, and goes no further. When the body of `main` has ended, also by a panic, children and
/// threads that are not daemons are waited for, and those that are, are ended.
///
/// # Examples
///
/// ```
/// #[fourfold::main]
/// fn main() -> fourfold::Result<()> {
///     let child = fourfold::process::spawn(|n: u32| n + 1, 1)?;
///     assert_eq!(child.join()?, 2);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand_main(&args.into(), &function).unwrap_or_else(|error| with_item(&error, &function)).into()
}

/// Gives a function a name that machines agree on.
///
/// The function stays as it is. Beside it there is a type of the same name, whose value `name {}` is the task: it can be
/// submitted at every scale, `pool.submit(name {}, args)`, and must be where the function runs on another machine.
///
/// # Examples
///
/// ```
/// use fourfold::task::Task;
///
/// #[fourfold::task]
/// fn area(width: u32, height: u32) -> u32 {
///     width * height
/// }
///
/// let pool = fourfold::process::Executor::builder().workers(1).build()?;
/// assert_eq!(pool.submit(area {}, (2, 3)).join()?, 6);
/// assert_eq!(pool.submit(area, (2, 3)).join()?, 6);
/// assert!(area::NAME.ends_with("::area"));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand_task(&args.into(), &function).unwrap_or_else(|error| with_item(&error, &function)).into()
}

/// The error and the item, so that it is the only one.
fn with_item(error: &Error, function: &ItemFn) -> Tokens {
    let error = error.to_compile_error();
    quote!(#error #function)
}

fn no_arguments(args: &Tokens, attribute: &str) -> Result<()> {
    if args.is_empty() {
        return Ok(());
    }
    Err(Error::new(args.span(), format!("#[fourfold::{attribute}] takes no arguments")))
}

fn plain(function: &ItemFn, attribute: &str) -> Result<()> {
    let sig = &function.sig;
    let refuse =
        |span, what: &str| Err(Error::new(span, format!("#[fourfold::{attribute}] {what}")));
    if let Some(token) = &sig.asyncness {
        return refuse(token.span(), "takes a plain function; start an async runtime inside it");
    }
    if let Some(token) = &sig.unsafety {
        return refuse(token.span(), "takes a safe function");
    }
    if !sig.generics.params.is_empty() {
        return refuse(sig.generics.span(), "takes a function without generic parameters");
    }
    Ok(())
}

fn expand_main(args: &Tokens, function: &ItemFn) -> Result<Tokens> {
    no_arguments(args, "main")?;
    plain(function, "main")?;
    let ItemFn { attrs, vis, sig, block } = function;
    if !sig.inputs.is_empty() {
        return Err(Error::new(sig.inputs.span(), "main takes no parameters"));
    }
    let output = &sig.output;
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            fn __fourfold_body() #output #block
            ::fourfold::__private::main(__fourfold_body)
        }

        // Before the library's own entry, which has no number. In a test there is no such `main`.
        #[cfg(not(test))]
        const _: () = {
            extern "C" fn note() {
                ::fourfold::__private::note_main(::core::module_path!());
            }

            #[used]
            #[unsafe(link_section = ".init_array.00098")]
            static NOTE: extern "C" fn() = note;
        };
    })
}

fn expand_task(args: &Tokens, function: &ItemFn) -> Result<Tokens> {
    no_arguments(args, "task")?;
    plain(function, "task")?;
    let ItemFn { vis, sig, .. } = function;
    let name = &sig.ident;
    let mut types = Vec::new();
    for input in &sig.inputs {
        match input {
            FnArg::Typed(input) => types.push(&input.ty),
            FnArg::Receiver(receiver) => {
                return Err(Error::new(receiver.span(), "#[fourfold::task] takes a free function"));
            }
        }
    }
    let values: Vec<_> = (0..types.len()).map(|index| format_ident!("arg{index}")).collect();
    let (all_types, all_values) = match types.len() {
        1 => (quote!(#(#types)*), quote!(#(#values)*)),
        _ => (quote!((#(#types,)*)), quote!((#(#values,)*))),
    };
    let output = match &sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let text = name.to_string();
    let doc = format!("The task [`{text}`](fn@{text}), as a value: `{text} {{}}`.");
    Ok(quote! {
        #function

        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug)]
        #vis struct #name {}

        impl ::fourfold::task::Task for #name {
            type Args = #all_types;
            type Output = #output;
            const NAME: &'static str = ::core::concat!(::core::module_path!(), "::", #text);

            fn run(#all_values: #all_types) -> #output {
                #name(#(#values),*)
            }
        }
    })
}
