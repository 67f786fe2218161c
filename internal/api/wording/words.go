package wording

import (
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// japanese are the words of the vocabulary; the English ones are the values
// themselves.
var japanese = map[string]string{
	string(cluster.OutOfService): "停止",
	string(cluster.Starting):     "起動中",
	string(cluster.InService):    "稼働",
	string(cluster.Degraded):     "稼働 (低下)",
	string(cluster.Stopping):     "停止処理中",
	string(cluster.Failed):       "障害",
	string(cluster.Unknown):      "不明",

	string(cluster.Joining):   "参加処理中",
	string(cluster.Present):   "参加中",
	string(cluster.Left):      "正常停止済み",
	string(cluster.Unmanaged): "管理対象外",
	string(cluster.Evicted):   "除外",

	string(cluster.RoleNode):    "ノード",
	string(cluster.RoleWitness): "ウィットネス",
	string(cluster.RoleStorage): "ストレージウィットネス",

	string(cluster.KindClusterCreated):  "クラスター作成",
	string(cluster.KindNodeAdded):       "ノード追加",
	string(cluster.KindStoreTried):      "ストア試験",
	string(cluster.KindNodeRemoved):     "ノード削除",
	string(cluster.KindVoter):           "投票メンバー変更",
	string(cluster.KindAdmitted):        "参加承認",
	string(cluster.KindManaged):         "管理再開",
	string(cluster.KindFenced):          "フェンシング済み",
	string(cluster.KindDetection):       "検出時間変更",
	string(cluster.KindAssigned):        "割り当て",
	string(cluster.KindStatus):          "状態",
	string(cluster.KindRetry):           "再試行",
	string(cluster.KindMove):            "スイッチオーバー",
	string(cluster.KindMoveCancelled):   "スイッチオーバー取消",
	string(cluster.KindWant):            "要求",
	string(cluster.KindCleared):         "障害マーク解除",
	string(cluster.KindConfigured):      "設定変更",
	string(cluster.KindLocalRecovery):   "ローカルリカバリー",
	string(cluster.KindResourceFailed):  "リソース障害",
	string(cluster.KindPath):            "コミュニケーションパス",
	string(cluster.KindLease):           "リース",
	string(cluster.KindSilence):         "無通信",
	string(cluster.KindAccess):          "アクセス",
	string(cluster.KindHealth):          "健全性",
	string(cluster.KindDaemonRestarted): "デーモン再起動",
	string(cluster.KindConfirmed):       "判断",
	string(cluster.KindForgotten):       "隔離解除",
	string(cluster.KindExtending):       "拡張前の確認",
	string(cluster.KindExtended):        "拡張",
	string(cluster.KindUnextended):      "縮退",

	string(cluster.SelfGuarding): "自己保護",
	string(cluster.SharedData):   "共有データ",
	string(cluster.WatchdogOnly): "ウォッチドッグのみ",
	string(cluster.Unfenced):     "フェンシングなし",

	"up": "正常", "degraded": "低下", "down": "切断",
}

// Word says a value of the vocabulary: a status, presence, role, kind, class.
func Word[T ~string](lang string, value T) string {
	if lang == message.Japanese {
		if w, ok := japanese[string(value)]; ok {
			return w
		}
	}
	return string(value)
}

// Label is a short text that both languages have: a heading or a connecting
// word.
type Label struct{ EN, JA string }

// In is the label in a language.
func (l Label) In(lang string) string {
	if lang == message.Japanese {
		return l.JA
	}
	return l.EN
}

// Reason says a reason of the state.
func Reason(lang string, r cluster.Reason) string {
	return message.Reason{Code: r.Code, Args: r.Args}.Text(lang)
}
