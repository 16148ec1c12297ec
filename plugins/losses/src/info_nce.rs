//! InfoNCE against target keys (van den Oord et al. 2018), as MoCo uses it (He et al. 2020, eq. 1 and algorithm 1).
//!
//! With q the online prediction of a view and k the target projection of another, both of unit length, for every sample i
//!
//! ```text
//! loss_i = -log( exp(q_i k_i / temperature) / (exp(q_i k_i / temperature) + sum over negatives k' of exp(q_i k' / temperature)) )
//! ```
//!
//! averaged over the batch and summed over the pairs of views. q and k are [batch N, dimensions]. The negatives are the
//! `queue_size` newest keys of earlier steps (MoCo v1, v2), or with `queue_size` 0 the other samples' keys (MoCo v3). MoCo v1 and
//! v2 take the first view as the query only; v3 is symmetric, and multiplies the loss by 2 temperature, which `weight` can say.
//! Guessing gives log(1 + negatives) per pair.
//!
//! The queue starts from random directions, as in MoCo's code; the keys of a step enter it when its loss is computed, the
//! oldest leave. Queue and the place of its oldest key are in checkpoints.
//!
//! With `auxiliary_share` beta above 0, views from the third on are further queries for the second view's key, among the same
//! negatives, and no keys (PIRL's and InfoMin's jigsaw; Misra and van der Maaten 2020, Tian et al. 2020):
//!
//! ```text
//! (1 - beta) loss(q_1, k_2) + beta mean over v > 2 of loss(q_v, k_2)
//! ```
//!
//! With `groups` G above 1, q and k are G equal parts, each of unit length, and every part of q is compared with every *other*
//! part of k, never with its own: `sum over g of mean over h != g of loss(q_g, k_h)`, where the negatives of a part of k are that part
//! of the others. With G = 2 it is CMC of two sets of channels (Tian et al. 2020, "Contrastive multiview coding") with MoCo's keys.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{
    Dimensions, Error, Initial, Loss, LossInputs, LossOutput, LossView, Role, Variables,
};
use tch::{Device, Kind, Tensor};

use crate::normalize::l2_normalize;
use crate::pairs::pairs;

/// What TOML can say.
#[derive(Parameters)]
pub struct InfoNceParameters {
    /// Divides the cosines. MoCo: 0.07 (v1), 0.2 (v2), 1 (v3 with ResNet-50).
    #[parameter(default = 0.07, minimum = 0.001, maximum = 100.0)]
    temperature: f64,
    /// Keys of earlier steps that are negatives; 0 takes the other samples' keys instead. MoCo v1 and v2: 65536.
    #[parameter(default = 65536, minimum = 0, maximum = 16777216, unit = "keys")]
    queue_size: i64,
    /// Whether every view is a query, as MoCo v3; without it only the first view is.
    #[parameter(default = false)]
    symmetric: bool,
    /// Share of the views from the third on, as queries for the second view's key; InfoMin: 0.5. With 0 they are keys as the second.
    #[parameter(default = 0.0, minimum = 0.0, maximum = 1.0)]
    auxiliary_share: f64,
    /// Equal parts of query and key, each compared with the others alone. CMC: 2.
    #[parameter(default = 1, minimum = 1, maximum = 64)]
    groups: i64,
}

/// The loss with its queue.
pub struct InfoNce {
    temperature: f64,
    symmetric: bool,
    auxiliary_share: f64,
    groups: i64,
    queue: Option<Queue>,
}

/// Parts of unit length of a view's queries or keys, [batch, dimensions / groups] each.
type Parts = Vec<Tensor>;

/// What comparisons of queries and keys came to.
#[derive(Default)]
struct Comparisons {
    /// Scalars.
    losses: Vec<Tensor>,
    /// [batch], of queries and their keys.
    cosines: Vec<Tensor>,
    /// Bool [batch]: above every negative.
    hits: Vec<Tensor>,
}

/// The newest keys, in a ring.
struct Queue {
    /// [keys, dimensions]; each group's part of a row is of unit length.
    keys: Tensor,
    /// Int64 scalar: the row that is written next. A tensor, so that no device has to be waited for.
    next: Tensor,
}

impl Loss for InfoNce {
    const ID: &'static str = "info_nce";
    const DOC: &'static str = "Cross-entropy of finding a sample's target projection among a queue of earlier ones, or among the \
        batch's, by cosine over temperature (MoCo).\n\n\
        Figures: `positive_similarity`, the mean cosine of query and key of a sample; `contrastive_accuracy`, how often it \
        is above that of every negative; with `auxiliary_share`, `auxiliary_accuracy`, the same of the further queries.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = InfoNceParameters;

    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error> {
        let InfoNceParameters { temperature, queue_size, symmetric, auxiliary_share, groups } = parameters;
        if symmetric && auxiliary_share > 0.0 {
            return Err(Error::new(
                "auxiliary_share stands beside symmetric = true, which makes every view a key; set one of the two alone",
            ));
        }
        if dimensions.projection % groups != 0 {
            return Err(Error::new(format_args!(
                "groups = {groups} with projections of {} dimensions, expected a multiple; set projector.groups and \
                 projector.output so that each group has as many",
                dimensions.projection
            )));
        }
        let queue = match queue_size {
            0 => None,
            size => Some(Queue::new(state, size, dimensions.projection, groups)?),
        };
        Ok(InfoNce { temperature, symmetric, auxiliary_share, groups, queue })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = inputs.views.len();
        let queries = self.parts_of(inputs, |view| &view.online_prediction)?;
        let keys = self.parts_of(inputs, |view| &view.target_projection)?;
        let batch = keys[0][0].size()[0];
        if batch < 2 && self.queue.is_none() {
            return Err(Error::new(format_args!(
                "found a batch of {batch} sample and no queue, expected at least 2 samples or queue_size above 0: without \
                 negatives there is nothing to tell apart"
            )));
        }
        // The queue changes in place below, while its values here are still needed for the gradient.
        let queue = self.queue.as_ref().map(|queue| queue.keys.f_detach_copy()).transpose()?;
        let queue = queue.map(|queue| queue.f_chunk(self.groups, 1)).transpose()?;
        let compare = |pairs: &mut dyn Iterator<Item = (usize, usize)>| {
            let mut found = Comparisons::default();
            for (online, target) in pairs {
                self.compare(&queries[online], &keys[target], queue.as_deref(), &mut found)?;
            }
            Ok::<_, Error>(found)
        };
        // Keys are the views behind the query, or with further queries the second alone.
        let targets = if self.auxiliary_share > 0.0 { 2 } else { views };
        let found = compare(&mut pairs(if self.symmetric { views } else { 1 }, targets))?;
        let further = match views {
            _ if self.auxiliary_share == 0.0 => None,
            3.. => Some(compare(&mut (2..views).map(|query| (query, 1)))?),
            _ => {
                return Err(Error::new(format_args!(
                    "auxiliary_share = {} is of the views from the third on, found {views} views; give further ones or set it to 0",
                    self.auxiliary_share
                )));
            }
        };
        if let Some(queue) = &mut self.queue {
            let from = if self.symmetric { 0 } else { 1 };
            let rows = keys[from..targets].iter().map(|parts| Tensor::f_cat(parts, 1));
            queue.push(&Tensor::f_cat(&rows.collect::<Result<Vec<_>, _>>()?, 0)?)?;
        }
        let mut loss = self.sum(&found)?;
        let mut figures = vec![
            ("positive_similarity", Tensor::f_stack(&found.cosines, 0)?.f_mean(None)?),
            ("contrastive_accuracy", accuracy(&found)?),
        ];
        if let Some(further) = further {
            let mean = self.sum(&further)?.f_div_scalar((views - 2) as f64)?;
            loss = loss
                .f_mul_scalar(1.0 - self.auxiliary_share)?
                .f_add(&mean.f_mul_scalar(self.auxiliary_share)?)?;
            figures.push(("auxiliary_accuracy", accuracy(&further)?));
        }
        Ok(LossOutput { loss, figures })
    }
}

impl InfoNce {
    /// The vectors that `select` takes, of every view, in their parts.
    fn parts_of(&self, inputs: &LossInputs, select: fn(&LossView) -> &Tensor) -> Result<Vec<Parts>, Error> {
        let parts = |view: &LossView| {
            let parts = select(view).f_chunk(self.groups, 1)?;
            parts.iter().map(l2_normalize).collect::<Result<Parts, Error>>()
        };
        inputs.views.iter().map(parts).collect()
    }

    /// Adds what comparing a view's query with another's key comes to. `queue` is [keys, dimensions / groups] per group.
    fn compare(
        &self,
        queries: &Parts,
        keys: &Parts,
        queue: Option<&[Tensor]>,
        found: &mut Comparisons,
    ) -> Result<(), Error> {
        let groups = queries.len();
        let others = (0..groups).flat_map(|query| (0..groups).map(move |key| (query, key)));
        for (query, key) in others.filter(|(query, key)| groups == 1 || query != key) {
            self.compare_parts(&queries[query], &keys[key], queue.map(|queue| &queue[key]), found)?;
        }
        Ok(())
    }

    /// The same of one part of each.
    fn compare_parts(
        &self,
        query: &Tensor,
        key: &Tensor,
        queue: Option<&Tensor>,
        found: &mut Comparisons,
    ) -> Result<(), Error> {
        let positive = query.f_mul(key)?.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?;
        let negatives = match queue {
            Some(queue) => query.f_mm(&queue.f_to_kind(query.kind())?.f_transpose(0, 1)?)?,
            None => {
                let same_sample = Tensor::f_eye(query.size()[0], (Kind::Bool, query.device()))?;
                query.f_mm(&key.f_transpose(0, 1)?)?.f_masked_fill(&same_sample, f64::NEG_INFINITY)?
            }
        };
        let normaliser = negatives.f_div_scalar(self.temperature)?.f_logsumexp([1].as_slice(), false)?;
        let logit = positive.f_div_scalar(self.temperature)?;
        found.losses.push(logit.f_logaddexp(&normaliser)?.f_sub(&logit)?.f_mean(None)?);
        tch::no_grad(|| {
            found.hits.push(positive.f_gt_tensor(&negatives.f_amax([1].as_slice(), false)?)?);
            found.cosines.push(positive.detach());
            Ok(())
        })
    }

    /// The losses' sum over pairs of views and groups of queries, a mean over groups of keys.
    fn sum(&self, found: &Comparisons) -> Result<Tensor, Error> {
        let sum = Tensor::f_stack(&found.losses, 0)?.f_sum(None)?;
        Ok(if self.groups > 2 { sum.f_div_scalar((self.groups - 1) as f64)? } else { sum })
    }
}

fn accuracy(found: &Comparisons) -> Result<Tensor, Error> {
    Ok(Tensor::f_stack(&found.hits, 0)?.f_to_kind(Kind::Float)?.f_mean(None)?)
}

impl Queue {
    fn new(state: &mut Variables, size: i64, dimensions: i64, groups: i64) -> Result<Queue, Error> {
        let initial = Initial::Normal { deviation: 1.0 };
        let mut keys = state.make("queue", Role::Buffer, initial, &[size, dimensions])?;
        keys.f_copy_(&l2_normalize(&keys.f_view([size, groups, -1])?)?.f_view([size, dimensions])?)?;
        let zero = Tensor::f_zeros([], (Kind::Int64, Device::Cpu))?;
        Ok(Queue { keys, next: state.make_from("queue_next", Role::Buffer, zero)? })
    }

    /// Replaces the oldest keys by `keys` [any number, dimensions]; of more than it holds, the last stay.
    fn push(&mut self, keys: &Tensor) -> Result<(), Error> {
        tch::no_grad(|| {
            let size = self.keys.size()[0];
            let count = keys.size()[0].min(size);
            let newest = keys.f_narrow(0, keys.size()[0] - count, count)?.f_to_kind(self.keys.kind())?;
            let places = Tensor::f_arange(count, (Kind::Int64, self.keys.device()))?
                .f_add(&self.next)?
                .f_remainder(size)?;
            let _ = self.keys.f_index_copy_(0, &places, &newest)?;
            let next = self.next.f_add_scalar(count)?.f_remainder(size)?;
            self.next.f_copy_(&next)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
