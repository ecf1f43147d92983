"""One table of strings, name -> "module:Class"; nothing is imported until it is named.

Third parties add the same strings by entry points, in the group of a kind's plural: `kdbench.techniques`,
`kdbench.runtimes`. A suite may name a part of its own as `file.py:Class`, beside the suite file.
"""

import importlib
import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any

from kdbench import user_files
from kdbench.errors import KdbenchError, UnknownName, nearest
from kdbench.user_files import UserCode

EXECUTORS = {
    "local": "kdbench.run.executors.local:LocalExecutor",
    "ray": "kdbench.run.executors.ray:RayExecutor",
}
"""Where stages run (kdbench.run.executors.Executor); no part of a suite, so not among KINDS."""

RUNTIMES = {
    "onnxruntime": "kdbench.measure.runtimes.onnxruntime:Onnxruntime",
    "torch": "kdbench.measure.runtimes.torch:Torch",
    "openvino": "kdbench.measure.runtimes.openvino:Openvino",
    "litert": "kdbench.measure.runtimes.litert:Litert",
    "onnxruntime_web": "kdbench.measure.runtimes.onnxruntime_web:OnnxruntimeWeb",
    "executorch": "kdbench.measure.runtimes.executorch:Executorch",
}
"""What runs files (kdbench.measure.runtimes.contract); a part of no case, so not among KINDS."""

KINDS = ("technique", "model", "task", "metric")

TABLE: dict[str, dict[str, str]] = {
    "executor": EXECUTORS,
    "runtime": RUNTIMES,
    "technique": {
        "soft_distillation": "kdbench.techniques.outputs.soft_distillation:SoftDistillation",
        "hard_distillation": "kdbench.techniques.outputs.hard_distillation:HardDistillation",
        "mixed_distillation": "kdbench.techniques.outputs.mixed_distillation:MixedDistillation",
        "logit_matching": "kdbench.techniques.outputs.logit_matching:LogitMatching",
        "decoupled_distillation": "kdbench.techniques.outputs.decoupled_distillation:DecoupledDistillation",
        "dist": "kdbench.techniques.outputs.dist:Dist",
        "standardized_distillation": "kdbench.techniques.outputs.standardized_distillation:StandardizedDistillation",
        "teacher_bounded": "kdbench.techniques.outputs.teacher_bounded:TeacherBounded",
        "attentive_imitation": "kdbench.techniques.outputs.attentive_imitation:AttentiveImitation",
        "label_smoothing": "kdbench.techniques.controls.label_smoothing:LabelSmoothing",
        "teacher_free": "kdbench.techniques.controls.teacher_free:TeacherFree",
        "longer_training": "kdbench.techniques.controls.longer_training:LongerTraining",
        "fitnet": "kdbench.techniques.features.fitnet:FitNet",
        "attention_transfer": "kdbench.techniques.features.attention_transfer:AttentionTransfer",
        "neuron_selectivity": "kdbench.techniques.features.neuron_selectivity:NeuronSelectivity",
        "variational_information": "kdbench.techniques.features.variational_information:VariationalInformation",
        "flow_of_solution": "kdbench.techniques.features.flow_of_solution:FlowOfSolution",
        "activation_boundary": "kdbench.techniques.features.activation_boundary:ActivationBoundary",
        "factor_transfer": "kdbench.techniques.features.factor_transfer:FactorTransfer",
        "review": "kdbench.techniques.features.review:Review",
        "similarity_preserving": "kdbench.techniques.relations.similarity_preserving:SimilarityPreserving",
        "relational": "kdbench.techniques.relations.relational:Relational",
        "probabilistic_transfer": "kdbench.techniques.relations.probabilistic_transfer:ProbabilisticTransfer",
        "correlation_congruence": "kdbench.techniques.relations.correlation_congruence:CorrelationCongruence",
        "contrastive": "kdbench.techniques.relations.contrastive:Contrastive",
        "tinybert": "kdbench.techniques.transformers.tinybert:TinyBert",
        "minilm": "kdbench.techniques.transformers.minilm:MiniLM",
        "minilm2": "kdbench.techniques.transformers.minilm2:MiniLM2",
        "patient": "kdbench.techniques.transformers.patient:Patient",
        "distilbert": "kdbench.techniques.transformers.distilbert:DistilBert",
        "multi_teacher": "kdbench.techniques.teachers.multi_teacher:MultiTeacher",
        "teacher_assistant": "kdbench.techniques.teachers.teacher_assistant:TeacherAssistant",
        "born_again": "kdbench.techniques.teachers.born_again:BornAgain",
        "deep_mutual_learning": "kdbench.techniques.teachers.deep_mutual_learning:DeepMutualLearning",
        "transfer_learning": "kdbench.techniques.weights.transfer_learning:TransferLearning",
        "inherit": "kdbench.techniques.weights.inherit:Inherit",
        "unstructured_pruning": "kdbench.techniques.pruning.unstructured_pruning:UnstructuredPruning",
        "structured_pruning": "kdbench.techniques.pruning.structured_pruning:StructuredPruning",
        "head_pruning": "kdbench.techniques.pruning.head_pruning:HeadPruning",
        "unit_pruning": "kdbench.techniques.pruning.unit_pruning:UnitPruning",
        "block_pruning": "kdbench.techniques.pruning.block_pruning:BlockPruning",
        "vocabulary_trimming": "kdbench.techniques.weights.vocabulary_trimming:VocabularyTrimming",
        "low_rank": "kdbench.techniques.weights.low_rank:LowRank",
        "weight_sharing": "kdbench.techniques.weights.weight_sharing:WeightSharing",
        "batchnorm_reestimation": "kdbench.techniques.weights.batchnorm_reestimation:BatchnormReestimation",
        "dynamic_quantization": "kdbench.techniques.quantization.dynamic_quantization:DynamicQuantization",
        "litert_quantization": "kdbench.techniques.quantization.litert_quantization:LitertQuantization",
        "executorch_quantization": "kdbench.techniques.quantization.executorch_quantization:ExecutorchQuantization",
        "static_quantization": "kdbench.techniques.quantization.static_quantization:StaticQuantization",
        "weight_only_quantization": "kdbench.techniques.quantization.weight_only_quantization:WeightOnlyQuantization",
        "half_precision": "kdbench.techniques.quantization.half_precision:HalfPrecision",
        "quantization_aware_training": (
            "kdbench.techniques.quantization.quantization_aware_training:QuantizationAwareTraining"
        ),
    },
    "model": {
        "mlp": "kdbench.models.mlp:MLP",
        "table_mlp": "kdbench.models.table_mlp:TableMLP",
        "cnn": "kdbench.models.cnn:CNN",
        "unet": "kdbench.models.unet:UNet",
        "encoder": "kdbench.models.encoder:Encoder",
        "audio_cnn": "kdbench.models.audio_cnn:AudioCNN",
        "audio_lstm": "kdbench.models.audio_lstm:AudioLSTM",
        "audio_tcn": "kdbench.models.audio_tcn:AudioTCN",
        "bag_of_tokens": "kdbench.models.bag_of_tokens:BagOfTokens",
        "resnet20": "kdbench.models.resnet:ResNet20",
        "resnet32": "kdbench.models.resnet:ResNet32",
        "resnet44": "kdbench.models.resnet:ResNet44",
        "resnet56": "kdbench.models.resnet:ResNet56",
        "resnet110": "kdbench.models.resnet:ResNet110",
        "resnet8x4": "kdbench.models.resnet:ResNet8x4",
        "resnet32x4": "kdbench.models.resnet:ResNet32x4",
        "ResNet50": "kdbench.models.resnet50:ResNet50",
        "wrn_16_2": "kdbench.models.wide_resnet:WRN16x2",
        "wrn_40_1": "kdbench.models.wide_resnet:WRN40x1",
        "wrn_40_2": "kdbench.models.wide_resnet:WRN40x2",
        "vgg8": "kdbench.models.vgg:VGG8",
        "vgg13": "kdbench.models.vgg:VGG13",
        "MobileNetV2": "kdbench.models.mobilenet:MobileNetV2",
        "ShuffleNetV1": "kdbench.models.shufflenet:ShuffleNetV1",
        "ShuffleNetV2": "kdbench.models.shufflenet:ShuffleNetV2",
        "torchvision": "kdbench.models.torchvision:Torchvision",
        "timm": "kdbench.models.libraries:Timm",
        "transformers": "kdbench.models.libraries:Transformers",
        "decision_tree": "kdbench.models.estimators:DecisionTree",
        "random_forest": "kdbench.models.estimators:RandomForest",
        "gradient_boosting": "kdbench.models.estimators:GradientBoosting",
        "linear": "kdbench.models.estimators:Linear",
        "svm": "kdbench.models.estimators:SVM",
        "nearest_neighbours": "kdbench.models.estimators:NearestNeighbours",
    },
    "task": {
        "digits": "kdbench.tasks.digits:Digits",
        "image_folder": "kdbench.tasks.image_folder:ImageFolder",
        "mask_folder": "kdbench.tasks.mask_folder:MaskFolder",
        "array_files": "kdbench.tasks.array_files:ArrayFiles",
        "audio_folder": "kdbench.tasks.audio_folder:AudioFolder",
        "connected_words": "kdbench.tasks.connected_words:ConnectedWords",
        "text_file": "kdbench.tasks.text_file:TextFile",
        "table": "kdbench.tasks.table:Table",
        "sklearn_table": "kdbench.tasks.sklearn_table:SklearnTable",
        "friedman1": "kdbench.tasks.sklearn_table:Friedman1",
        "shapes": "kdbench.tasks.shapes:Shapes",
        "sentences": "kdbench.tasks.sentences:Sentences",
        "mnist": "kdbench.tasks.torchvision:MNIST",
        "fashion_mnist": "kdbench.tasks.torchvision:FashionMNIST",
        "cifar10": "kdbench.tasks.torchvision:CIFAR10",
        "cifar100": "kdbench.tasks.torchvision:CIFAR100",
    },
    "metric": {
        "accuracy": "kdbench.metrics.accuracy:Accuracy",
        "balanced_accuracy": "kdbench.metrics.balanced_accuracy:BalancedAccuracy",
        "macro_f1": "kdbench.metrics.f1:MacroF1",
        "f1": "kdbench.metrics.f1:F1",
        "micro_f1": "kdbench.metrics.f1:MicroF1",
        "auc": "kdbench.metrics.ranked:AUC",
        "average_precision": "kdbench.metrics.ranked:AveragePrecision",
        "log_loss": "kdbench.metrics.probabilities:LogLoss",
        "top5": "kdbench.metrics.probabilities:Top5",
        "calibration_error": "kdbench.metrics.probabilities:CalibrationError",
        "rmse": "kdbench.metrics.errors:RMSE",
        "mae": "kdbench.metrics.errors:MAE",
        "r2": "kdbench.metrics.errors:R2",
        "pearson": "kdbench.metrics.correlation:Pearson",
        "spearman": "kdbench.metrics.correlation:Spearman",
        "cosine_spearman": "kdbench.metrics.embeddings:CosineSpearman",
        "recall_at_1": "kdbench.metrics.embeddings:RecallAt1",
        "recall_at_10": "kdbench.metrics.embeddings:RecallAt10",
        "ndcg_at_10": "kdbench.metrics.embeddings:NDCGAt10",
        "mean_reciprocal_rank": "kdbench.metrics.embeddings:MeanReciprocalRank",
        "mean_iou": "kdbench.metrics.places:MeanIoU",
        "pixel_accuracy": "kdbench.metrics.places:PixelAccuracy",
        "entity_f1": "kdbench.metrics.entities:EntityF1",
        "word_error_rate": "kdbench.metrics.error_rates:WordErrorRate",
        "token_error_rate": "kdbench.metrics.error_rates:TokenErrorRate",
    },
}


@cache
def names(kind: str) -> dict[str, str]:
    """Every registered name of a kind -> "module:Class", entry points included.

    Raises KdbenchError when a name is registered twice.
    """
    table = dict(TABLE[kind])
    for point in importlib.metadata.entry_points(group=f"kdbench.{kind}s"):
        if table.get(point.name, point.value) != point.value:
            raise KdbenchError(
                f"{kind} '{point.name}' is registered twice: as {table[point.name]} and as {point.value}; "
                "uninstall one of the two packages."
            )
        table[point.name] = point.value
    return table


def is_file(name: str) -> bool:
    """Whether a name is a user's own `file.py:Class`."""
    return ".py:" in name


def resolve(kind: str, name: str, folder: Path | None = None) -> type[Any]:
    """The class behind a name; `file.py:Class` is looked up in `folder`, the suite's.

    Raises UnknownName where there is none, UserCodeError where the user's file cannot be imported.
    """
    if is_file(name):
        return _collected(name, folder).find_class(name.rpartition(":")[2])
    table = names(kind)
    if name not in table:
        raise UnknownName(f"there is no {kind} '{name}'. {nearest(name, table)}")
    module, _, attribute = table[name].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found


def user_code(name: str, cls: type[Any], folder: Path | None = None) -> UserCode | None:
    """The user's own code behind a name, which no version stands for; None for what is kdbench's or installed."""
    if is_file(name):
        return _collected(name, folder)
    digests = user_files.editable_digests(cls)
    return UserCode((), digests) if digests else None


def _collected(name: str, folder: Path | None) -> UserCode:
    folder = folder or Path()
    return user_files.collect(folder / name.rpartition(":")[0], folder)
