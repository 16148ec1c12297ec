//! Losses: what their author implements, and the boundary's `loss/1` factory over it.

use std::ffi::c_void;

use diptych_sdk::__private as sdk;
use diptych_sdk::__private::abi::{
    self, ErrorSink, FigureSink, LossFactory, LossInstance, OwnedTensor, ParameterValue, Status, Str,
    TensorContext, VariableVisitor,
};
use diptych_sdk::{Error, Parameters};
use tch::Tensor;

use crate::{Variables, tensor};

/// From the projections and predictions of all views to one scalar.
pub trait Loss: Sized + Send + 'static {
    /// Stable snake_case id that TOML names.
    const ID: &'static str;
    /// What it computes and after whom, Markdown; the first sentence stands alone in lists.
    const DOC: &'static str;
    /// Whether it reads [`LossView::target_projection`]; without it a run may have no target network.
    const READS_TARGET: bool;
    /// Whether it reads [`LossView::online_prediction`]; without it a run with a predictor is refused.
    const READS_PREDICTION: bool;
    /// Whether it reads [`LossInputs::labels`]; with it a run on data without labels is refused.
    const READS_LABELS: bool = false;
    /// Its parameters; `()` when it has none.
    type Parameters: Parameters;

    /// A loss for vectors of these `dimensions`. What a checkpoint must hold (a queue, a memory bank) is made with `state` as
    /// buffers; what is made trainable (prototypes, a classifier) is stepped by the run's optimizer.
    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error>;

    /// Computes the loss of one step.
    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error>;
}

/// What a loss's own variables are made for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dimensions {
    /// Width of the embeddings.
    pub embedding: i64,
    /// Width of the projections.
    pub projection: i64,
    /// Classes of the data; 0 when it has no labels.
    pub classes: i64,
}

/// Everything that a loss sees in one step.
#[derive(Debug)]
pub struct LossInputs {
    /// At least two views.
    pub views: Vec<LossView>,
    /// Int64 [batch], from 0; none when the data has no labels.
    pub labels: Option<Tensor>,
    /// Index of the optimizer step, from 0.
    pub step: u64,
    /// Planned number of optimizer steps.
    pub step_count: u64,
}

/// What the networks made of one view: float [batch, dimensions], rows in the same order in every view.
#[derive(Debug)]
pub struct LossView {
    /// y of the online network, with gradient; [batch, features].
    pub online_embedding: Tensor,
    /// z of the online network, with gradient.
    pub online_projection: Tensor,
    /// q of the online network, with gradient; without a predictor the online projection itself.
    pub online_prediction: Tensor,
    /// z of the target network; the online projection itself where a run has no target.
    pub target_projection: Tensor,
}

/// What a loss answers.
#[derive(Debug)]
pub struct LossOutput {
    /// Float scalar, connected to its inputs by autograd.
    pub loss: Tensor,
    /// Named scalars for the log. Tensors, so that no device has to be waited for until somebody reads them.
    pub figures: Vec<(&'static str, Tensor)>,
}

/// Makes an instance of one loss from its values.
pub type Create =
    unsafe fn(*const TensorContext, *const ParameterValue, usize) -> Result<LossInstance, Error>;

/// The list entry of loss `T`.
pub const fn loss<T: Loss>() -> sdk::Component<Create> {
    let mut flags = 0;
    if T::READS_TARGET {
        flags |= abi::LOSS_READS_TARGET;
    }
    if T::READS_PREDICTION {
        flags |= abi::LOSS_READS_PREDICTION;
    }
    if T::READS_LABELS {
        flags |= abi::LOSS_READS_LABELS;
    }
    sdk::Component { descriptor: sdk::descriptor::<T::Parameters>(T::ID, T::DOC, flags), create: create::<T> }
}

/// The factory over the components of `L`.
pub const fn loss_factory<L: sdk::ComponentList<Create = Create>>() -> LossFactory {
    LossFactory {
        struct_size: size_of::<LossFactory>() as u32,
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
    instance: *mut *mut LossInstance,
    errors: *const ErrorSink,
) -> Status {
    // SAFETY: slot, sink, context and values are the host's for this call.
    unsafe { sdk::hand_out(instance, errors, || sdk::creator::<L>(index)?(context, values, value_count)) }
}

/// A loss and what a checkpoint holds of it.
struct Stateful<T> {
    loss: T,
    state: Variables,
}

unsafe fn create<T: Loss>(
    context: *const TensorContext,
    values: *const ParameterValue,
    count: usize,
) -> Result<LossInstance, Error> {
    // SAFETY: context and values are the host's for this call.
    let (parameters, mut state, dimensions) = unsafe {
        (sdk::read_parameters(values, count)?, tensor::variables(context)?, tensor::dimensions(context)?)
    };
    let loss = T::new(parameters, &dimensions, &mut state)?;
    Ok(LossInstance {
        struct_size: size_of::<LossInstance>() as u32,
        state: sdk::Cell::allocate(Stateful { loss, state }),
        visit_state: Some(visit_state::<T>),
        forward: Some(forward::<T>),
        destroy: Some(destroy::<T>),
    })
}

unsafe extern "C" fn visit_state<T: Loss>(
    state: *mut c_void,
    visitor: *const VariableVisitor,
    errors: *const ErrorSink,
) -> Status {
    // SAFETY: the visitor is the host's for this call.
    let run = |stateful: &mut Stateful<T>| unsafe { tensor::show(&stateful.state, visitor) };
    // SAFETY: the state is the one of `create::<T>`; the host calls an instance from one place at a time.
    unsafe { sdk::call(state, errors, run) }
}

unsafe extern "C" fn forward<T: Loss>(
    state: *mut c_void,
    inputs: *const abi::LossInputs,
    loss: *mut OwnedTensor,
    figures: *const FigureSink,
    errors: *const ErrorSink,
) -> Status {
    let run = |stateful: &mut Stateful<T>| {
        // SAFETY: inputs and sink are the host's for this call.
        let (inputs, sink) = unsafe { (read_inputs(inputs)?, figures.as_ref()) };
        let answer = stateful.loss.forward(&inputs)?;
        if let Some((context, figure)) = sink.and_then(|sink| Some((sink.context, sink.figure?))) {
            for (name, value) in &answer.figures {
                // SAFETY: the host's function with its own context; name and tensor outlive the call.
                unsafe { figure(context, Str::new(name), tensor::lend(value)) };
            }
        }
        // SAFETY: the host's slot for this call; it takes over the tensor.
        unsafe { loss.write(tensor::give(answer.loss)) };
        Ok(())
    };
    // SAFETY: as in `visit_state`.
    unsafe { sdk::call(state, errors, run) }
}

/// # Safety
/// `inputs` is null or what the host passed to the running `forward`.
unsafe fn read_inputs(inputs: *const abi::LossInputs) -> Result<LossInputs, Error> {
    // SAFETY: the caller vouches for the inputs.
    let inputs = unsafe { inputs.as_ref() }.ok_or_else(|| Error::new("the host passed no inputs"))?;
    if inputs.view_count < 2 || inputs.views.is_null() {
        return Err(Error::new(format_args!("found {} views, expected at least 2", inputs.view_count)));
    }
    if (inputs.struct_size as usize) < size_of::<abi::LossInputs>() || inputs.online_embeddings.is_null() {
        return Err(Error::new("the host passed no embeddings, as version 1.1 of the boundary does"));
    }
    let count = inputs.view_count as usize;
    // SAFETY: the host passes that many views, and as many embeddings.
    let (views, embeddings) = unsafe {
        let views = std::slice::from_raw_parts(inputs.views, count);
        (views, std::slice::from_raw_parts(inputs.online_embeddings, count))
    };
    let read = |(view, embedding): (&abi::LossView, &abi::BorrowedTensor)| {
        // SAFETY: tensors that the host lends for this call.
        unsafe {
            Ok(LossView {
                online_embedding: tensor::borrow(*embedding, "online embedding")?,
                online_projection: tensor::borrow(view.online_projection, "online projection")?,
                online_prediction: tensor::borrow(view.online_prediction, "online prediction")?,
                target_projection: tensor::borrow(view.target_projection, "target projection")?,
            })
        }
    };
    let views = views.iter().zip(embeddings).map(read).collect::<Result<Vec<_>, Error>>()?;
    let labels = match inputs.labels.is_null() {
        true => None,
        // SAFETY: as above.
        false => Some(unsafe { tensor::borrow(inputs.labels, "labels")? }),
    };
    Ok(LossInputs { views, labels, step: inputs.step, step_count: inputs.step_count })
}

unsafe extern "C" fn destroy<T: Loss>(instance: *mut LossInstance) {
    // SAFETY: the instance was made by `create::<T>`, and the host gives it back.
    unsafe { sdk::release::<Stateful<T>, _>((*instance).state, instance) };
}

#[cfg(test)]
mod tests {
    use diptych_sdk::__private::abi::STATUS_OK;
    use tch::Kind;

    use super::*;
    use crate::{Initial, Role};

    /// Sums the first view's prediction, its embedding and the labels, and counts its calls in its state.
    struct Sum {
        calls: Tensor,
        dimensions: Dimensions,
    }

    impl Loss for Sum {
        const ID: &'static str = "sum";
        const DOC: &'static str = "A sum.";
        const READS_TARGET: bool = false;
        const READS_PREDICTION: bool = true;
        const READS_LABELS: bool = true;
        type Parameters = ();

        fn new((): (), dimensions: &Dimensions, state: &mut Variables) -> Result<Self, Error> {
            let calls = state.make("calls", Role::Buffer, Initial::Constant(0.0), &[])?;
            Ok(Sum { calls, dimensions: *dimensions })
        }

        fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
            let _ = self.calls.f_add_scalar_(1.0)?;
            let view = &inputs.views[0];
            let labels =
                inputs.labels.as_ref().map_or(0.0, |labels| labels.sum(Kind::Float).double_value(&[]));
            let loss = view.online_prediction.f_sum(None)?.f_add(&view.online_embedding.f_sum(None)?)?;
            let loss = loss.f_add_scalar(labels + (self.dimensions.classes * 1000) as f64)?;
            Ok(LossOutput { loss, figures: vec![("calls", self.calls.shallow_clone())] })
        }
    }

    unsafe extern "C" fn keep(context: *mut c_void, name: Str, tensor: abi::BorrowedTensor) {
        // SAFETY: the context is the test's list; the tensor is lent to us.
        unsafe {
            let list = &mut *context.cast::<Vec<(String, f64)>>();
            let value = Tensor::clone_from_ptr(tensor.cast()).double_value(&[]);
            list.push((name.as_str().unwrap().to_owned(), value));
        }
    }

    unsafe extern "C" fn keep_state(context: *mut c_void, name: Str, tensor: abi::BorrowedTensor, _: u32) {
        // SAFETY: as for `keep`.
        unsafe { keep(context, name, tensor) }
    }

    #[test]
    fn a_host_of_version_1_0_is_told_what_it_does_not_pass() {
        let size = std::mem::offset_of!(TensorContext, embedding_width) as u32;
        let context = TensorContext { struct_size: size, ..TensorContext::new(0, Str::new("cpu")) };
        // SAFETY: a valid context, and no values.
        let error = unsafe { create::<Sum>(&context, std::ptr::null(), 0) }.err().unwrap().to_string();
        assert_eq!(error, "the host passed no dimensions, as version 1.1 of the boundary does");
    }

    #[test]
    fn loss_figures_and_state_cross_the_boundary() {
        let flags = abi::LOSS_READS_PREDICTION | abi::LOSS_READS_LABELS;
        assert_eq!(loss::<Sum>().descriptor.flags, flags);
        let context = TensorContext { class_count: 7, ..TensorContext::new(0, Str::new("cpu")) };
        // SAFETY: a valid context, and no values.
        let instance = unsafe { create::<Sum>(&context, std::ptr::null(), 0) }.unwrap();

        let prediction = Tensor::from_slice(&[1f32, 2.0]).view([1, 2]).set_requires_grad(true);
        let lent = tensor::lend(&prediction);
        let view =
            abi::LossView { online_projection: lent, online_prediction: lent, target_projection: lent };
        let views = [view; 2];
        let embedding = Tensor::from_slice(&[10f32, 20.0]).view([1, 2]).set_requires_grad(true);
        let embeddings = [tensor::lend(&embedding); 2];
        let labels = Tensor::from_slice(&[6i64]);
        let inputs = abi::LossInputs {
            struct_size: size_of::<abi::LossInputs>() as u32,
            view_count: 2,
            views: views.as_ptr(),
            step: 0,
            step_count: 1,
            online_embeddings: embeddings.as_ptr(),
            labels: tensor::lend(&labels),
        };
        let (mut figures, mut state) = (Vec::<(String, f64)>::new(), Vec::<(String, f64)>::new());
        let sink = FigureSink { context: (&raw mut figures).cast(), figure: Some(keep) };
        let visitor = VariableVisitor { context: (&raw mut state).cast(), visit: Some(keep_state) };
        let mut answer: OwnedTensor = std::ptr::null_mut();
        // SAFETY: the instance lives, everything else is valid for the calls.
        let (loss, status) = unsafe {
            let forward = instance.forward.unwrap();
            assert_eq!(forward(instance.state, &inputs, &mut answer, &sink, std::ptr::null()), STATUS_OK);
            let status = instance.visit_state.unwrap()(instance.state, &visitor, std::ptr::null());
            (Tensor::from_ptr(answer.cast()), status)
        };
        assert_eq!(status, STATUS_OK);
        assert_eq!(loss.double_value(&[]), 3.0 + 30.0 + 6.0 + 7000.0);
        loss.backward();
        for tensor in [&prediction, &embedding] {
            assert_eq!(Vec::<f32>::try_from(tensor.grad().view(-1)).unwrap(), [1.0, 1.0]);
        }
        assert_eq!(figures, [("calls".to_owned(), 1.0)]);
        assert_eq!(state, figures);

        let instance = Box::into_raw(Box::new(instance));
        // SAFETY: the only use of the pointer.
        unsafe { (*instance).destroy.unwrap()(instance) };
    }
}
