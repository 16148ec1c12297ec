//! Encoders: what their author implements, and the boundary's `encoder/1` factory over it.

use std::ffi::c_void;

use diptych_sdk::__private as sdk;
use diptych_sdk::__private::abi::{
    self, BorrowedTensor, EncoderFactory, EncoderInstance, ErrorSink, OutputSink, ParameterValue, Status,
    Str, TensorContext, VariableVisitor,
};
use diptych_sdk::{Error, Parameters};
use tch::Tensor;

use crate::{Variables, tensor};

/// A network from images to features.
///
/// ```
/// use diptych_sdk::Parameters;
/// use diptych_sdk_tensor::{Encoder, Error, Outputs, Variables, layers::Linear};
/// use tch::Tensor;
///
/// #[derive(Parameters)]
/// pub struct MeanColorParameters {
///     /// Number of features.
///     #[parameter(default = 8, minimum = 1, maximum = 1024)]
///     features: u32,
/// }
///
/// pub struct MeanColor {
///     linear: Linear,
///     features: u32,
/// }
///
/// impl Encoder for MeanColor {
///     const ID: &'static str = "mean_color";
///     const DOC: &'static str = "A linear layer on the image's mean colour.";
///     type Parameters = MeanColorParameters;
///
///     fn new(parameters: MeanColorParameters, variables: &mut Variables) -> Result<Self, Error> {
///         let features = parameters.features;
///         Ok(MeanColor { linear: Linear::new(variables, "fc", 3, features.into(), true)?, features })
///     }
///
///     fn feature_count(&self) -> u32 {
///         self.features
///     }
///
///     fn forward(&mut self, images: &Tensor, _training: bool) -> Result<Outputs, Error> {
///         Ok(Outputs::pooled(self.linear.forward(&images.f_mean_dim([2, 3].as_slice(), false, None)?)?))
///     }
/// }
/// ```
pub trait Encoder: Sized + Send + 'static {
    /// Stable snake_case id that TOML names.
    const ID: &'static str;
    /// What it is and after whom, Markdown; the first sentence stands alone in lists.
    const DOC: &'static str;
    /// Its parameters; `()` when it has none.
    type Parameters: Parameters;

    /// Builds the network; every weight and buffer comes from `variables`, under the name that torchvision or timm
    /// has for it where they have the network.
    fn new(parameters: Self::Parameters, variables: &mut Variables) -> Result<Self, Error>;

    /// Width of [`Outputs::pooled`].
    fn feature_count(&self) -> u32;

    /// Runs the network on `images`, float [batch, 3, rows, columns], normalised. `training` means batch statistics, which
    /// also move the running ones; without it the running ones are used.
    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error>;
}

/// What an encoder answers.
#[derive(Debug)]
pub struct Outputs {
    /// The features, [batch, features].
    pub pooled: Tensor,
    /// Feature maps by name (`stage1`, ...), each [batch, channels, rows, columns]; may be empty.
    pub maps: Vec<(&'static str, Tensor)>,
}

impl Outputs {
    /// Features without maps.
    pub fn pooled(pooled: Tensor) -> Self {
        Outputs { pooled, maps: Vec::new() }
    }
}

/// Makes an instance of one encoder from its values.
pub type Create =
    unsafe fn(*const TensorContext, *const ParameterValue, usize) -> Result<EncoderInstance, Error>;

/// The list entry of encoder `E`.
pub const fn encoder<E: Encoder>() -> sdk::Component<Create> {
    sdk::Component { descriptor: sdk::descriptor::<E::Parameters>(E::ID, E::DOC, 0), create: create::<E> }
}

/// The factory over the components of `L`.
pub const fn encoder_factory<L: sdk::ComponentList<Create = Create>>() -> EncoderFactory {
    EncoderFactory {
        struct_size: size_of::<EncoderFactory>() as u32,
        count: Some(sdk::count::<L>),
        describe: Some(sdk::describe::<L>),
        create: Some(create_component::<L>),
    }
}

unsafe extern "C" fn create_component<L: sdk::ComponentList<Create = Create>>(
    index: u32,
    context: *const TensorContext,
    values: *const ParameterValue,
    value_count: usize,
    instance: *mut *mut EncoderInstance,
    errors: *const ErrorSink,
) -> Status {
    // SAFETY: slot, sink, context and values are the host's for this call.
    unsafe { sdk::hand_out(instance, errors, || sdk::creator::<L>(index)?(context, values, value_count)) }
}

/// An encoder and its variables.
struct Network<E> {
    encoder: E,
    variables: Variables,
}

unsafe fn create<E: Encoder>(
    context: *const TensorContext,
    values: *const ParameterValue,
    count: usize,
) -> Result<EncoderInstance, Error> {
    // SAFETY: context and values are the host's for this call.
    let (parameters, mut variables) =
        unsafe { (sdk::read_parameters(values, count)?, tensor::variables(context)?) };
    let encoder = E::new(parameters, &mut variables)?;
    Ok(EncoderInstance {
        struct_size: size_of::<EncoderInstance>() as u32,
        feature_count: encoder.feature_count(),
        state: sdk::Cell::allocate(Network { encoder, variables }),
        visit_variables: Some(visit_variables::<E>),
        forward: Some(forward::<E>),
        destroy: Some(destroy::<E>),
    })
}

unsafe extern "C" fn visit_variables<E: Encoder>(
    state: *mut c_void,
    visitor: *const VariableVisitor,
    errors: *const ErrorSink,
) -> Status {
    // SAFETY: the visitor is the host's for this call.
    let run = |network: &mut Network<E>| unsafe { tensor::show(&network.variables, visitor) };
    // SAFETY: the state is the one of `create::<E>`; the host calls an instance from one place at a time.
    unsafe { sdk::call(state, errors, run) }
}

unsafe extern "C" fn forward<E: Encoder>(
    state: *mut c_void,
    images: BorrowedTensor,
    training: u32,
    outputs: *const OutputSink,
    errors: *const ErrorSink,
) -> Status {
    let run = |network: &mut Network<E>| {
        // SAFETY: images and sink are the host's for this call.
        let (images, sink) = unsafe { (tensor::borrow(images, "images")?, outputs.as_ref()) };
        let Some((context, output)) = sink.and_then(|sink| Some((sink.context, sink.output?))) else {
            return Err(Error::new("the host passed no sink for outputs"));
        };
        let answer = network.encoder.forward(&images, training != 0)?;
        for (name, map) in std::iter::once(("pooled", answer.pooled)).chain(answer.maps) {
            // SAFETY: the host's function with its own context; it takes over the tensor.
            unsafe { output(context, Str::new(name), tensor::give(map)) };
        }
        Ok(())
    };
    // SAFETY: as in `visit_variables`.
    unsafe { sdk::call(state, errors, run) }
}

unsafe extern "C" fn destroy<E: Encoder>(instance: *mut abi::EncoderInstance) {
    // SAFETY: the instance was made by `create::<E>`, and the host gives it back.
    unsafe { sdk::release::<Network<E>, _>((*instance).state, instance) };
}

#[cfg(test)]
mod tests {
    use diptych_sdk::__private::abi::STATUS_OK;
    use diptych_sdk::__private::abi::{STATUS_ERROR, STATUS_PANICKED, STATUS_POISONED};
    use tch::{Device, Kind};

    use super::*;
    use crate::layers::Linear;

    struct MeanColor(Linear);

    impl Encoder for MeanColor {
        const ID: &'static str = "mean_color";
        const DOC: &'static str = "A linear layer on the mean colour.";
        type Parameters = ();

        fn new((): (), variables: &mut Variables) -> Result<Self, Error> {
            Ok(MeanColor(Linear::new(variables, "fc", 3, 2, true)?))
        }

        fn feature_count(&self) -> u32 {
            2
        }

        fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error> {
            assert!(images.size()[0] < 100, "too many images");
            let mean = images.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?;
            let maps = if training { vec![("stage1", images.shallow_clone())] } else { Vec::new() };
            Ok(Outputs { pooled: self.0.forward(&mean)?, maps })
        }
    }

    unsafe extern "C" fn keep_output(context: *mut c_void, name: Str, tensor: abi::OwnedTensor) {
        // SAFETY: the context is the test's list; the tensor is given to us.
        unsafe {
            let list = &mut *context.cast::<Vec<(String, Tensor)>>();
            list.push((name.as_str().unwrap().to_owned(), Tensor::from_ptr(tensor.cast())));
        }
    }

    unsafe extern "C" fn keep_variable(context: *mut c_void, name: Str, tensor: BorrowedTensor, flags: u32) {
        // SAFETY: the context is the test's list; the tensor is lent to us.
        unsafe {
            let list = &mut *context.cast::<Vec<(String, Tensor, u32)>>();
            list.push((name.as_str().unwrap().to_owned(), Tensor::clone_from_ptr(tensor.cast()), flags));
        }
    }

    unsafe extern "C" fn keep_error(context: *mut c_void, message: *const u8, length: usize) {
        // SAFETY: the context is the test's text; the range is readable for the call.
        unsafe {
            let text = &mut *context.cast::<String>();
            *text = String::from_utf8_lossy(std::slice::from_raw_parts(message, length)).into_owned();
        }
    }

    fn create_mean_color() -> EncoderInstance {
        let context = TensorContext::new(3, Str::new("cpu"));
        // SAFETY: a valid context, and no values.
        unsafe { create::<MeanColor>(&context, std::ptr::null(), 0) }.unwrap()
    }

    /// Status, error and outputs of one call.
    fn call_forward(
        instance: &EncoderInstance,
        images: &Tensor,
        training: u32,
    ) -> (Status, String, Vec<(String, Tensor)>) {
        let (mut error, mut outputs) = (String::new(), Vec::<(String, Tensor)>::new());
        let errors = ErrorSink { context: (&raw mut error).cast(), set_error: Some(keep_error) };
        let sink = OutputSink { context: (&raw mut outputs).cast(), output: Some(keep_output) };
        // SAFETY: the instance lives, everything else is valid for the call.
        let status = unsafe {
            instance.forward.unwrap()(instance.state, tensor::lend(images), training, &sink, &errors)
        };
        (status, error, outputs)
    }

    /// As the host gives an instance back.
    fn destroy_instance(instance: EncoderInstance) {
        let instance = Box::into_raw(Box::new(instance));
        // SAFETY: the only use of the pointer.
        unsafe { (*instance).destroy.unwrap()(instance) };
    }

    #[test]
    fn outputs_cross_with_autograd_to_the_variables_that_were_shown() {
        let instance = create_mean_color();
        let mut variables = Vec::<(String, Tensor, u32)>::new();
        let visitor = VariableVisitor { context: (&raw mut variables).cast(), visit: Some(keep_variable) };
        // SAFETY: the instance lives and the visitor is valid for the call.
        let status = unsafe { instance.visit_variables.unwrap()(instance.state, &visitor, std::ptr::null()) };
        assert_eq!(status, STATUS_OK);
        let shown: Vec<(&str, u32)> =
            variables.iter().map(|(name, _, flags)| (name.as_str(), *flags)).collect();
        let (trained, bias) = (abi::VARIABLE_TRAINABLE, abi::VARIABLE_BIAS);
        assert_eq!(shown, [("fc.weight", trained), ("fc.bias", trained | bias)]);

        let images = Tensor::ones([4, 3, 2, 2], (Kind::Float, Device::Cpu));
        let (status, _, outputs) = call_forward(&instance, &images, 1);
        assert_eq!(status, STATUS_OK);
        assert_eq!(outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pooled", "stage1"]);
        outputs[0].1.sum(Kind::Float).backward();
        let gradient = Vec::<f32>::try_from(variables[1].1.grad()).unwrap();
        assert_eq!(gradient, [4.0, 4.0]);
        destroy_instance(instance);
    }

    #[test]
    fn an_error_of_libtorch_is_reported_and_a_panic_poisons() {
        let instance = create_mean_color();
        let gray = Tensor::ones([4, 1, 2, 2], (Kind::Float, Device::Cpu));
        let (status, error, outputs) = call_forward(&instance, &gray, 0);
        assert_eq!((status, outputs.len()), (STATUS_ERROR, 0));
        assert!(error.contains("mat1 and mat2 shapes cannot be multiplied"), "{error}");

        let many = Tensor::ones([100, 3, 2, 2], (Kind::Float, Device::Cpu));
        let (status, error, _) = call_forward(&instance, &many, 0);
        assert_eq!(status, STATUS_PANICKED);
        assert!(error.contains("too many images"), "{error}");
        let (status, ..) = call_forward(&instance, &gray, 0);
        assert_eq!(status, STATUS_POISONED);
        destroy_instance(instance);
    }

    #[test]
    fn an_unknown_device_is_an_error() {
        let context = TensorContext::new(0, Str::new("tpu"));
        // SAFETY: a valid context, and no values.
        let message = unsafe { create::<MeanColor>(&context, std::ptr::null(), 0) }.err().unwrap();
        assert_eq!(message.to_string(), "found device \"tpu\", expected cpu, cuda or cuda:N");
    }
}
