//! The derive macros of `diptych-sdk`: from a documented struct or enum to the descriptors that the host
//! validates TOML against.
//!
//! Everything a descriptor says is checked while the plugin compiles: a field without a doc comment, a bound on
//! a text, a default outside its bounds do not build.

use proc_macro::TokenStream;
use proc_macro2::{Ident, TokenStream as Tokens};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Fields, LitStr, Type};

/// Makes a struct with named fields the parameters of a component. Used through `diptych_sdk::Parameters`, where it
/// is documented.
#[proc_macro_derive(Parameters, attributes(parameter))]
pub fn derive_parameters(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    parameters(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Makes an enum without data a parameter that takes one of its variants, in snake_case. Used through
/// `diptych_sdk::Choice`, where it is documented.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    choice(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn parameters(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.span(), "`Parameters` is derived for a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(
            input.span(),
            "`Parameters` needs named fields: their names are the TOML keys",
        ));
    };
    let mut descriptors = Vec::new();
    let mut reads = Vec::new();
    let mut problems: Option<Error> = None;
    for (index, field) in fields.named.iter().enumerate() {
        match Parameter::of(field) {
            Ok(parameter) => {
                descriptors.push(parameter.descriptor());
                reads.push(parameter.read(index));
            }
            Err(error) => match &mut problems {
                Some(problems) => problems.combine(error),
                None => problems = Some(error),
            },
        }
    }
    if let Some(problems) = problems {
        return Err(problems);
    }
    let name = &input.ident;
    let count = descriptors.len();
    Ok(quote! {
        #[automatically_derived]
        #[allow(clippy::all, clippy::pedantic)]
        impl ::diptych_sdk::Parameters for #name {
            const DESCRIPTORS: &'static [::diptych_sdk::__private::abi::ParameterDescriptor] = &[#(#descriptors),*];

            fn from_values(
                values: &[::diptych_sdk::__private::abi::ParameterValue],
            ) -> ::core::result::Result<Self, ::diptych_sdk::Error> {
                ::diptych_sdk::__private::expect_values(values, #count)?;
                Ok(Self { #(#reads),* })
            }
        }

        // Checks the descriptors even where nothing uses them.
        const _: &[::diptych_sdk::__private::abi::ParameterDescriptor] =
            <#name as ::diptych_sdk::Parameters>::DESCRIPTORS;
    })
}

/// One field and what its `#[parameter(..)]` says.
struct Parameter<'a> {
    field: &'a Ident,
    id: String,
    kind: &'a Type,
    doc: String,
    default: Option<Expr>,
    minimum: Option<Expr>,
    maximum: Option<Expr>,
    unit: String,
}

impl<'a> Parameter<'a> {
    fn of(field: &'a Field) -> Result<Self, Error> {
        let ident = field.ident.as_ref().expect("fields were matched as named");
        let name = ident.to_string();
        let mut parameter = Parameter {
            field: ident,
            id: name.strip_prefix("r#").unwrap_or(&name).to_owned(),
            kind: &field.ty,
            doc: documentation(&field.attrs)?,
            default: None,
            minimum: None,
            maximum: None,
            unit: String::new(),
        };
        if parameter.doc.is_empty() {
            return Err(Error::new(ident.span(), "a parameter needs a doc comment: it is what users read"));
        }
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
            attribute.parse_nested_meta(|meta| {
                let Some(key) = meta.path.get_ident().map(Ident::to_string) else {
                    return Err(meta.error("expected `default`, `minimum`, `maximum`, `unit` or `id`"));
                };
                match key.as_str() {
                    "default" => parameter.default = Some(meta.value()?.parse()?),
                    "minimum" => parameter.minimum = Some(meta.value()?.parse()?),
                    "maximum" => parameter.maximum = Some(meta.value()?.parse()?),
                    "unit" => parameter.unit = meta.value()?.parse::<LitStr>()?.value(),
                    "id" => parameter.id = meta.value()?.parse::<LitStr>()?.value(),
                    _ => return Err(meta.error("expected `default`, `minimum`, `maximum`, `unit` or `id`")),
                }
                Ok(())
            })?;
        }
        Ok(parameter)
    }

    fn descriptor(&self) -> Tokens {
        let Parameter { id, kind, doc, unit, .. } = self;
        let default = match &self.default {
            Some(expression) => {
                let value = default_value(kind, expression);
                quote!(::core::option::Option::Some(#value))
            }
            None => quote!(::core::option::Option::None),
        };
        let bound = |expression: &Option<Expr>| match expression {
            Some(expression) => quote!(::core::option::Option::Some((#expression) as f64)),
            None => quote!(::core::option::Option::None),
        };
        let (minimum, maximum) = (bound(&self.minimum), bound(&self.maximum));
        quote! {
            ::diptych_sdk::__private::parameter::<#kind>(#id, #doc, #unit, #default, #minimum, #maximum)
        }
    }

    fn read(&self, index: usize) -> Tokens {
        let Parameter { field, id, kind, .. } = self;
        quote!(#field: <#kind as ::diptych_sdk::ParameterType>::read(&values[#index], #id)?)
    }
}

/// The constant for a default. Trait functions can't run at compile time, so the type is told by its name;
/// every other type is a choice.
fn default_value(kind: &Type, expression: &Expr) -> Tokens {
    let value = quote!(::diptych_sdk::__private::abi::ParameterValue);
    let text = quote!(#kind).to_string().replace(' ', "");
    match text.as_str() {
        "f64" | "f32" => quote!(#value::float((#expression) as f64)),
        "i64" | "i32" | "u64" | "u32" | "usize" => quote!(#value::integer((#expression) as i64)),
        "bool" => quote!(#value::boolean(#expression)),
        "String" | "std::string::String" => quote!(#value::text(#expression)),
        "PathBuf" | "std::path::PathBuf" => quote!(#value::file(#expression)),
        "[f64;2]" | "[f32;2]" => quote!({
            let [low, high] = #expression;
            #value::range(low as f64, high as f64)
        }),
        _ => quote! {
            #value::choice(
                (#expression) as i64,
                <#kind as ::diptych_sdk::Choice>::TEXTS[(#expression) as usize],
            )
        },
    }
}

fn choice(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.span(), "`Choice` is derived for an enum whose variants have no data"));
    };
    let name = &input.ident;
    let mut texts = Vec::new();
    let mut variants = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) || variant.discriminant.is_some() {
            return Err(Error::new(variant.span(), "a choice has neither data nor a discriminant"));
        }
        let mut text = snake_case(&variant.ident.to_string());
        for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("choice")) {
            text = attribute.parse_args::<LitStr>()?.value();
        }
        texts.push(text);
        variants.push(&variant.ident);
    }
    if texts.is_empty() {
        return Err(Error::new(input.span(), "a choice needs at least one variant"));
    }

    Ok(quote! {
        #[automatically_derived]
        impl ::diptych_sdk::Choice for #name {
            const TEXTS: &'static [&'static str] = &[#(#texts),*];
            const VARIANTS: &'static [Self] = &[#(Self::#variants),*];
        }

        #[automatically_derived]
        impl ::diptych_sdk::ParameterType for #name {
            const KIND: ::diptych_sdk::__private::abi::ParameterKind =
                ::diptych_sdk::__private::abi::PARAMETER_CHOICE;
            const CHOICES: &'static [::diptych_sdk::__private::abi::Str] =
                &[#(::diptych_sdk::__private::abi::Str::new(#texts)),*];

            fn read(
                value: &::diptych_sdk::__private::abi::ParameterValue,
                id: &str,
            ) -> ::core::result::Result<Self, ::diptych_sdk::Error> {
                ::diptych_sdk::__private::read_choice(value, id)
            }
        }
    })
}

/// The text of the doc comment, its lines joined, paragraphs kept.
fn documentation(attributes: &[Attribute]) -> Result<String, Error> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(text) = &literal.lit
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    let paragraphs: Vec<String> = lines
        .split(String::is_empty)
        .map(|paragraph| paragraph.join(" "))
        .filter(|p| !p.is_empty())
        .collect();
    Ok(paragraphs.join("\n\n"))
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in camel.char_indices() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
