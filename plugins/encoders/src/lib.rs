//! The built-in encoders.

mod resnet;
mod small_cnn;

diptych_sdk_tensor::export_plugin! {
    encoders: [resnet::ResNet18, resnet::ResNet34, resnet::ResNet50, small_cnn::SmallCnn],
}
