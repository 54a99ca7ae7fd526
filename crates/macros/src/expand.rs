//! From a function to its registration.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, LitStr, PatType, Result, ReturnType, Type};

/// What stands in the parentheses of `#[task(…)]`.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    indeterminate: bool,
}

pub(crate) fn task(attributes: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = options(attributes)?;
    let function: ItemFn = syn::parse2(item)?;
    check(&function)?;
    let registration = registration(&function, &options);
    Ok(quote! {
        #function
        #registration
    })
}

fn options(attributes: TokenStream) -> Result<Options> {
    let mut options = Options::default();
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("name") {
            let name: LitStr = meta.value()?.parse()?;
            if name.value().is_empty() {
                return Err(Error::new(name.span(), "a task's name is not empty"));
            }
            options.name = Some(name);
            Ok(())
        } else if meta.path.is_ident("indeterminate") {
            options.indeterminate = true;
            Ok(())
        } else {
            Err(meta.error("expected `name = \"…\"` or `indeterminate`"))
        }
    });
    syn::parse::Parser::parse2(parser, attributes)?;
    Ok(options)
}

fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let refuse = |span: Span, message: &str| Err(Error::new(span, message));
    if let Some(token) = &signature.asyncness {
        return refuse(
            token.span(),
            "a task runs on a thread of its own and cannot be async: block instead",
        );
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            signature.generics.span(),
            "a task is called by name and cannot be generic: write one function for each type",
        );
    }
    if let Some(token) = &signature.unsafety {
        return refuse(
            token.span(),
            "a task cannot be unsafe: nobody could uphold its contract",
        );
    }
    let last = signature.inputs.len().saturating_sub(1);
    for (i, argument) in signature.inputs.iter().enumerate() {
        match argument {
            FnArg::Receiver(receiver) => {
                return refuse(receiver.span(), "a task is a free function, without `self`");
            }
            FnArg::Typed(typed) if is_ctx(typed) && i > 0 => {
                return refuse(typed.span(), "`TaskCtx` must be the first parameter");
            }
            FnArg::Typed(typed) if is_variadic(typed) && i < last => {
                return refuse(typed.span(), "`Variadic` must be the last parameter");
            }
            FnArg::Typed(typed) if !is_ctx(typed) && matches!(&*typed.ty, Type::Reference(_)) => {
                return refuse(
                    typed.ty.span(),
                    "arguments arrive from other processes and are owned: take `String` for `&str`, `Vec<T>` for `&[T]`",
                );
            }
            FnArg::Typed(_) => {}
        }
    }
    Ok(())
}

/// `&mut TaskCtx` or `&TaskCtx`, by whatever path.
fn is_ctx(argument: &PatType) -> bool {
    match &*argument.ty {
        Type::Reference(reference) => last_segment(&reference.elem).is_some_and(|name| name == "TaskCtx"),
        _ => false,
    }
}

/// `Variadic<T>`: takes all arguments that are left.
fn is_variadic(argument: &PatType) -> bool {
    last_segment(&argument.ty).is_some_and(|name| name == "Variadic")
}

fn last_segment(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// Whether a function's errors are its task's: a type written `…Result<…>`.
fn returns_result(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => false,
        ReturnType::Type(_, ty) => last_segment(ty).is_some_and(|name| name == "Result"),
    }
}

fn registration(function: &ItemFn, options: &Options) -> TokenStream {
    let signature = &function.sig;
    let name = &signature.ident;
    let typed: Vec<_> = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let with_ctx = typed.first().is_some_and(|argument| is_ctx(argument));
    let values = &typed[usize::from(with_ctx)..];
    let types: Vec<_> = values.iter().map(|argument| &argument.ty).collect();
    let spelled: Vec<_> = types.iter().map(|ty| spelled(ty)).collect();
    let idents: Vec<_> = (0..values.len())
        .map(|i| quote::format_ident!("__argument_{i}"))
        .collect();
    let variadic = values.last().is_some_and(|argument| is_variadic(argument));
    let expect = if variadic {
        quote!(expect_at_least)
    } else {
        quote!(expect_arity)
    };
    let reads = values
        .iter()
        .zip(&spelled)
        .enumerate()
        .map(|(i, (argument, spelled))| {
            let read = if is_variadic(argument) {
                quote!(rest)
            } else {
                quote!(argument)
            };
            quote!(#read(#i, #spelled))
        });
    let ctx = with_ctx.then(|| quote!(__call.ctx(),));
    let call = quote!(#name(#ctx #(#idents),*));
    let call = if returns_result(&signature.output) {
        quote!(#call.map_err(::millstream::__private::user_error)?)
    } else {
        call
    };
    let constructor = match &options.name {
        Some(given) => quote!(named(#given, __run, &[#(#spelled),*])),
        None => {
            let function = name.to_string();
            quote!(at(::core::module_path!(), #function, __run, &[#(#spelled),*]))
        }
    };
    let indeterminate = options.indeterminate.then(|| quote!(.indeterminate()));
    let cfgs = function
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    quote! {
        #(#cfgs)*
        const _: () = {
            fn __run(
                __call: &mut ::millstream::__private::NativeCall<'_, '_>,
            ) -> ::millstream::__private::NativeResult {
                __call.#expect(&[#(#spelled),*])?;
                #(let #idents: #types = __call.#reads?;)*
                let __value = #call;
                ::millstream::__private::encode_value(&__value)
            }
            ::millstream::__private::inventory::submit! {
                ::millstream::__private::NativeFunction::#constructor #indeterminate
            }
        };
    }
}

/// A type as people write it: without the spaces that tokens are printed with.
fn spelled(ty: &Type) -> String {
    ty.to_token_stream()
        .to_string()
        .replace(" :: ", "::")
        .replace(" < ", "<")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn refusal(attributes: &str, function: &str) -> String {
        let expanded = task(attributes.parse().unwrap(), function.parse().unwrap());
        expanded.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn functions_that_cannot_be_tasks_are_refused_with_the_reason() {
        let cases = [
            ("async fn f() {}", "cannot be async"),
            ("fn f<T>(x: T) {}", "cannot be generic"),
            ("unsafe fn f() {}", "cannot be unsafe"),
            ("fn f(&self) {}", "without `self`"),
            ("fn f(x: &str) {}", "take `String` for `&str`"),
            (
                "fn f(x: i64, ctx: &mut TaskCtx) {}",
                "must be the first parameter",
            ),
            ("fn f(x: Variadic<i64>, y: i64) {}", "must be the last parameter"),
        ];
        for (function, reason) in cases {
            let refusal = refusal("", function);
            assert!(refusal.contains(reason), "{function}: {refusal}");
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(refusal("names = \"x\"", "fn f() {}").contains("expected `name"));
        assert!(refusal("name = \"\"", "fn f() {}").contains("not empty"));
    }

    #[test]
    fn types_are_spelled_as_people_write_them() {
        let ty: Type = syn::parse_str("std::collections::BTreeMap<String, Vec<Option<i64>>>").unwrap();
        assert_eq!(
            spelled(&ty),
            "std::collections::BTreeMap<String, Vec<Option<i64>>>"
        );
    }
}
